-- The history of ack_preload, beside Airflow's own database. Run once, by an empty PostgreSQL.
CREATE DATABASE ack_preload OWNER airflow;

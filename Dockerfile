# Airflow with this product in it, for docker-compose.yaml.
# After https://airflow.apache.org/docs/docker-stack/build.html
FROM apache/airflow:3.3.2-python3.11

# By hash, on top of what the image holds: the same versions as everywhere else in this project.
COPY --chown=airflow:root requirements-build.txt requirements-compose.txt /opt/ack-preload/
RUN pip install --no-cache-dir --require-hashes -r /opt/ack-preload/requirements-build.txt \
    && pip install --no-cache-dir --require-hashes -r /opt/ack-preload/requirements-compose.txt

# Installed and not only on PYTHONPATH: a connection type is registered by an entry point.
COPY --chown=airflow:root pyproject.toml README.md /opt/ack-preload/
COPY --chown=airflow:root include/ack_preload /opt/ack-preload/include/ack_preload
RUN pip install --no-cache-dir --no-deps --no-build-isolation /opt/ack-preload

COPY --chown=airflow:root dags /opt/airflow/dags
COPY --chown=airflow:root plugins /opt/airflow/plugins

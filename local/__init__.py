"""One machine, one command: set-up, supervision and the demo; never imported by the product."""

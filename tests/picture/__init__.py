"""Makes the picture of the Grafana dashboard in the documentation, from measured data.

Grafana is not used: it is licensed under the AGPL and is no Python, Go or Debian package. A real
Prometheus scrapes a real installation at work and answers the queries of the dashboard, and a
browser shows what they return.
"""

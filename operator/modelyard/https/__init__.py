"""TLS connections of servers in the cluster: bounded handshakes, and certificates that are renewed."""

"""Services that tests and demonstrations start on loopback ports and stop again."""

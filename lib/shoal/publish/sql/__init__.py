"""The lake's tables by name for programs that speak HiveServer2's protocol: JDBC, ODBC, PyHive.

- `server`        start Spark's Thrift server over a lake, wait, stop it
- `Gate.java`     who may connect and which statements are answered; compiled at the start by the Janino that Spark ships
- `compiled`      a class from Java's source text
"""

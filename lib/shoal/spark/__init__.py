"""The Spark session and what it needs: Java, jars, the worker daemon, the class archive."""

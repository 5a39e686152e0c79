"""Jobs on a real cluster: HDFS, a Spark master and two workers that see nothing of the driver."""

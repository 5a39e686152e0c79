"""A Java class from its source text, by the Janino in Spark's jars: Spark compiles its own generated code with it, so that a Java
without a compiler is enough."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession


def compiled_class(spark: SparkSession, source: Path, name: str) -> Any:
    """Compile a source file in the session's driver and return the class `name` (java.lang.Class). Nothing is written to the disk.

    Raises py4j's error with Janino's message for a source that does not compile. Cost: about a second.
    """
    jvm: Any = spark._jvm
    compiler = jvm.org.codehaus.janino.SimpleCompiler()
    compiler.setParentClassLoader(jvm.Thread.currentThread().getContextClassLoader())
    compiler.cook(str(source), source.read_text(encoding="utf-8"))
    return compiler.getClassLoader().loadClass(name)


def new_instance(spark: SparkSession, made: Any, *arguments: Any) -> Any:
    """Call the only constructor of a class."""
    gateway: Any = spark.sparkContext._gateway
    given = gateway.new_array(gateway.jvm.Object, len(arguments))
    for place, argument in enumerate(arguments):
        given[place] = argument
    return made.getConstructors()[0].newInstance(given)

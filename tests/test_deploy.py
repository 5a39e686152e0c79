"""deploy/ without an engine or a cluster: Kubernetes' own schemas, hadolint's rules, and arguments that the programs take."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from shoal.publish.api.__main__ import options_of, parser
from shoal.runner.job import find_job

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
# A custom resource has no schema there: of the Spark operator's only names and arguments are looked at.
OPERATOR = "SparkApplication"
MANIFESTS = {
    f"{made['kind']}-{made['metadata']['name']}": made
    for path in sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    for made in yaml.safe_load_all(path.read_text(encoding="utf-8"))
}
CHECKED = {name: made for name, made in MANIFESTS.items() if made["kind"] != OPERATOR}
# The oldest version that Kubernetes' own project still mends in 2025, and the newest schema there is.
VERSIONS = ("1.31", "1.37")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CHECKED)
def test_a_manifest_is_valid(name: str, version: str) -> None:
    kubernetes_validate.validate(CHECKED[name], version, strict=True)


def test_the_validator_finds_an_unknown_key_and_a_wrong_type() -> None:
    made = yaml.safe_load(yaml.safe_dump(MANIFESTS["Deployment-shoal-api"]))
    made["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(made, VERSIONS[0], strict=True)
    del made["spec"]["replica"]
    made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = "soon"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(made, VERSIONS[0], strict=True)


def pods() -> dict[str, dict[str, Any]]:
    """The pod of each manifest that has one."""
    found = {}
    for name, made in CHECKED.items():
        spec = made.get("spec", {})
        template = spec.get("template") or spec.get("jobTemplate", {}).get("spec", {}).get("template")
        if template:
            found[name] = template["spec"]
    return found


def test_pods_are_not_root_and_take_secrets_by_reference() -> None:
    assert set(pods()) == {"Deployment-shoal-api", "CronJob-shoal-retrain"}
    for name, pod in pods().items():
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001), name
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            assert not container["image"].endswith(":latest")
            for variable in container.get("env", []):
                assert "secretKeyRef" in variable["valueFrom"], variable["name"]


def test_what_names_the_server_finds_it() -> None:
    labels = MANIFESTS["Deployment-shoal-api"]["spec"]["template"]["metadata"]["labels"]
    container = pods()["Deployment-shoal-api"]["containers"][0]
    assert MANIFESTS["Service-shoal-api"]["spec"]["selector"] == labels
    assert MANIFESTS["NetworkPolicy-shoal-api"]["spec"]["podSelector"]["matchLabels"] == labels
    assert MANIFESTS["PodDisruptionBudget-shoal-api"]["spec"]["selector"]["matchLabels"] == labels
    target = MANIFESTS["HorizontalPodAutoscaler-shoal-api"]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", "shoal-api")
    port = container["ports"][0]["containerPort"]
    assert port == MANIFESTS["NetworkPolicy-shoal-api"]["spec"]["ingress"][0]["ports"][0]["port"]
    assert {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness")} == {"/ready"}
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"


SERVERS = {
    "image": ast.literal_eval(re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[-1]),
    "compose": COMPOSE["services"]["api"]["command"],
    "kubernetes": pods()["Deployment-shoal-api"]["containers"][0]["args"],
}


@pytest.mark.parametrize("arguments", SERVERS.values(), ids=SERVERS)
def test_the_server_takes_its_arguments(arguments: list[str]) -> None:
    options = options_of(parser().parse_args(arguments))
    assert (options.folder, options.host, options.port, options.is_open) == (Path("/lake/published"), "0.0.0.0", 8080, False)  # noqa: S104
    assert all("latest" not in each for each in options.sets)


def test_the_server_alone_needs_no_spark() -> None:
    code = (
        "import sys, shoal.publish.api.__main__, shoal.publish.api.scoring, shoal.publish.api.redis_source\n"
        "print([name for name in ('pyspark', 'py4j', 'mlflow', 'sklearn', 'typer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_jobs_that_are_run_exist() -> None:
    arguments = pods()["CronJob-shoal-retrain"]["containers"][0]["args"]
    assert arguments[:2] == ["run", "retrain"]
    assert find_job(arguments[1]).stage == "train"


def test_images_are_pinned_and_ports_are_this_machines_only() -> None:
    assert set(COMPOSE["services"]) == {"jobs", "api", "redis", "postgres", "prometheus"}
    for name, service in COMPOSE["services"].items():
        assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        for value in service.get("environment", {}).values():
            # A secret is taken from the environment, and its absence is an error that says what is missing.
            assert value == "shoal" or re.fullmatch(r"\$\{SHOAL_[A-Z_]+:\?.+\}", value), (name, value)
        if build := service.get("build"):
            assert f"AS {build['target']}\n" in DOCKERFILE
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    mounted = re.findall(r"- \./(\S+?):", text)
    assert mounted and all((DEPLOY / path).is_file() for path in mounted)


def test_the_dockerfile_copies_what_is_there_and_ends_without_root() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert f"!{source.rstrip('/')}" in ignored, source
    for name in re.findall(r"-r (\S+)", DOCKERFILE):
        assert (ROOT / name).is_file(), name
        assert "--hash=sha256:" in (ROOT / name).read_text(encoding="utf-8"), name
    for target in ("jobs", "api"):
        stage = DOCKERFILE[DOCKERFILE.index(f"AS {target}\n") :].split("\nFROM ")[0]
        assert re.findall(r"^USER (.+)$", stage, re.MULTILINE) == ["10001:10001"]


def test_hadolint_agrees(tmp_path: Path) -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    assert hadolint is not None, "hadolint is in requirements/dev.txt"
    done = subprocess.run([hadolint, str(DEPLOY / "Dockerfile")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    worse = tmp_path / "Dockerfile"
    worse.write_text(DOCKERFILE.replace("USER 10001:10001", "USER root").replace("slim-bookworm", "slim-bookworm\nFROM python"))
    found = subprocess.run([hadolint, str(worse)], capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert {"DL3002", "DL3006"} <= set(re.findall(r"DL\d+", found.stdout))

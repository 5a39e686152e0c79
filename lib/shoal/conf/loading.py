"""Settings as they are loaded: conf/base.yaml, then conf/<env>.yaml, then `--set key=value`, checked by `shoal.conf.sections`.

An unknown key is an error that names the nearest known one. `--set` takes a full key (`graph.damping=0.8`,
`spark.driver.memory=3g`), or, for one job, a key of its own section without the section's name (`k=10`). Keys under `advanced` are
keys of the section itself: `--set lake.retries=2`. `seed` is one for all: every section whose model has a seed gets it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from shoal.conf.home import home
from shoal.conf.sections import Section, Settings
from shoal.errors import UsageError

ADVANCED, SEED = "advanced", "seed"


def section_name(model: type[Section]) -> str | None:
    """The key under which `model` stands in Settings; None for another model."""
    return next((name for name, field in Settings.model_fields.items() if field.annotation is model), None)


def load(env: str = "local", sets: Iterable[str] = (), job_section: str | None = None) -> Settings:
    """The settings of `env` with `sets` ("key=value") over them.

    A key whose first part is no section belongs to `job_section`. Raises UsageError, one line, for an environment without
    a file, a malformed pair, an unknown key or a value of the wrong type or range.
    """
    return layers(env, sets, job_section).settings()


@dataclass(frozen=True)
class Layers:
    """The values of each place by its name (`base.yaml`, `local.yaml`, `--set`), nested; later places override earlier ones."""

    places: tuple[tuple[str, dict[str, Any]], ...]

    def merged(self) -> dict[str, Any]:
        """One mapping of all."""
        result: dict[str, Any] = {}
        for _, values in self.places:
            result = _deep_merge(result, values)
        return result

    def origin(self, section: str, key: str | None = None) -> str:
        """The last place that gives the setting a value."""
        given = [name for name, values in self.places if section in values and (key is None or key in (values[section] or {}))]
        return given[-1]

    def settings(self) -> Settings:
        """The checked settings. Raises UsageError, one line, for what is wrong first."""
        merged = self.merged()
        for name in sections_with_seed():
            if SEED in merged.get(name, {}):
                raise UsageError(f"{name}.{SEED}: no such setting; `{SEED}` is one for all sections: --set {SEED}=7")
            if isinstance(merged.get(name), dict) and SEED in merged:
                merged[name] = merged[name] | {SEED: merged[SEED]}
        try:
            return Settings.model_validate(merged)
        except ValidationError as error:
            raise UsageError(_sentence(error)) from None


def layers(env: str = "local", sets: Iterable[str] = (), job_section: str | None = None) -> Layers:
    """The values of conf/base.yaml, conf/<env>.yaml and `sets`. Raises UsageError for an unknown environment, pair or key."""
    folder = home() / "conf"
    known = sorted(p.stem for p in folder.glob("*.yaml") if p.stem != "base")
    if env not in known:
        raise UsageError(f"--env {env}: no such environment; there are {', '.join(known)}")
    files = Layers(tuple((path.name, _flat(_yaml(path), path)) for path in (folder / "base.yaml", folder / f"{env}.yaml")))
    merged = files.merged()
    given: dict[str, Any] = {}
    for pair in sets:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--set {pair}: expected key=value")
        path = _full_key(key.strip(), merged, job_section)
        # Checked against all settings, kept by itself.
        _put(merged, path, value)
        _put(given, path, value)
    return Layers((*files.places, ("--set", given)))


def sections_with_seed() -> list[str]:
    """The sections whose model has a seed."""
    models = {name: field.annotation for name, field in Settings.model_fields.items()}
    return [name for name, model in models.items() if SEED in getattr(model, "model_fields", {})]


def _flat(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """The mapping of a file with the keys under `advanced` in their sections. Raises UsageError for a key that is there twice."""
    flat: dict[str, Any] = {}
    for name, section in values.items():
        if not isinstance(section, dict) or ADVANCED not in section:
            flat[name] = section
            continue
        plain = {key: value for key, value in section.items() if key != ADVANCED}
        rare = section[ADVANCED] or {}
        if twice := sorted(plain.keys() & rare.keys()):
            raise UsageError(f"{path.name}: {name}.{twice[0]} is there twice, under {name} and under {name}.{ADVANCED}")
        flat[name] = plain | rare
    return flat


# Settings that are letters: to YAML `#` is nothing, and `:` a mistake.
_LETTERS = ("delimiter", "comment", "timestamp_format", "quote", "escape", "null")
# Of these, settings that a word can switch off.
_NO_LETTER = ("quote", "escape", "comment", "null", "timestamp_format")


def _yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; empty for an empty file."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UsageError(f"{path.name}: not YAML: {' '.join(str(error).split())}") from None


def _deep_merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`below` with the values of `above` over it, mapping by mapping; a section's null in `above` changes nothing."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _deep_merge(old, value or {}) if isinstance(old, dict) and key != "pipeline" else value
    return merged


def _full_key(key: str, settings: Mapping[str, Any], job_section: str | None) -> list[str]:
    """The path to a setting: `spark.a.b` is one Spark key, `column_mapping.x` a key of the job's section."""
    first, _, rest = key.partition(".")
    if first == "spark":
        return ["spark", key]
    if key == SEED:
        return [SEED]
    own = settings.get(job_section or "")
    if isinstance(own, dict) and first in own:
        return [job_section or "", *([first, rest] if isinstance(own[first], dict) else key.split("."))]
    if first in settings and rest:
        inner, _, tail = rest.partition(".")
        of_section = settings[first] if isinstance(settings[first], dict) else {}
        return [first, inner, tail] if tail and isinstance(of_section.get(inner), dict) else [first, *rest.split(".")]
    names = [f"{s}.{k}" for s, v in settings.items() if isinstance(v, dict) for k in v]
    names += list(own) if isinstance(own, dict) else []
    raise UsageError(f"--set {key}: no such setting{_nearest(key, names)}")


def _put(settings: dict[str, Any], path: list[str], value: str) -> None:
    """Set the value at `path`, read as YAML (numbers, lists, true); a Spark setting, a renamed column and letters stay text."""
    at = settings
    for part in path[:-1]:
        at = at.setdefault(part, {})
        if not isinstance(at, dict):
            raise UsageError(f"--set {'.'.join(path)}: {part} is a value, it has no keys of its own")
    as_text = path[0] == "spark" or {"column_mapping", "kafka"} & set(path[:-1]) or path[-1] in _LETTERS
    try:
        no_letter = path[-1] in _NO_LETTER and value.lower() in ("none", "null")
        at[path[-1]] = None if no_letter else value if as_text else yaml.safe_load(value)
    except yaml.YAMLError:
        raise UsageError(f"--set {'.'.join(path)}={value}: not a YAML value") from None


def _nearest(key: str, names: Iterable[str]) -> str:
    """`; did you mean X?` where a known name is near, else a pointer to where the names are."""
    near = difflib.get_close_matches(key, list(names), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else "; conf/base.yaml lists them"


def _sentence(error: ValidationError) -> str:
    """The first fault of a validation as one line."""
    fault = error.errors()[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        model: Any = Settings.model_fields.get(str(fault["loc"][0]))
        names = list(getattr(model.annotation, "model_fields", {})) if model else list(Settings.model_fields)
        return f"{where}: no such setting{_nearest(str(fault['loc'][-1]), names)}"
    if fault["type"] == "missing":
        return f"{where}: this setting is missing; conf/base.yaml has it with its reason"
    return f"{where}: {fault['msg'][0].lower() + fault['msg'][1:]}, found {fault['input']!r}"

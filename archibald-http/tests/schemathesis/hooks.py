"""What the description cannot say of a request that is meant to be right."""

import uuid

import schemathesis
from schemathesis import GenerationMode


@schemathesis.hook
def before_call(context, case, kwargs):
    generation = case.meta.generation if case.meta else None
    if not generation or generation.mode is not GenerationMode.POSITIVE:
        return
    if isinstance(case.body, dict):
        case.body = as_it_can_be_kept(case.body)
        if case.method.upper() == "POST" and case.path.endswith("/operations"):
            # A write's key is its header or its field, and is for one request only.
            case.body["key"] = str(uuid.uuid4())
            (case.headers or {}).pop("Idempotency-Key", None)


def as_it_can_be_kept(value):
    """Whole numbers without a point, and no NUL, wherever it is in what may be anything."""
    if isinstance(value, dict):
        return {as_it_can_be_kept(name): as_it_can_be_kept(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_it_can_be_kept(item) for item in value]
    if isinstance(value, str):
        return value.replace("\0", "")
    return int(value) if isinstance(value, float) and value.is_integer() else value

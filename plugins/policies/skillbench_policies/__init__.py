"""Policies for skillbench: transformers models, OpenAI-compatible servers, embedded models."""

from skillbench.hookspecs import hookimpl

from .options import HF, HOUSEHOLD, OPENAI, VLLM


@hookimpl
def skillbench_register_policies(register):
    """Register the embedded models, `hf`, `vllm`, `openai`, `scripted`, `expert` and `random`."""
    here, needs = "skillbench_policies.", "pip install 'skillbench-policies[{}]'"
    for name in ("household", "shopper", "reader"):
        register(
            name,
            f"{here}household_policy:{name.capitalize()}Policy",
            defaults=HOUSEHOLD,
            trainable=True,
            takes_model="optional",  # household:DIRECTORY loads another checkpoint
            requires=needs.format("hf"),
            shape=f"{here}shapes:shape",
        )
    register(
        "hf",
        here + "hf:HFPolicy",
        defaults=HF,
        trainable=True,
        takes_model=True,
        requires=needs.format("hf"),
        shape=f"{here}shapes:shape",
    )
    register(
        "vllm",
        here + "vllm_policy:VLLMPolicy",
        defaults=VLLM,
        trainable=True,
        takes_model=True,
        requires=needs.format("vllm"),
    )
    register(
        "openai",
        here + "openai_api:OpenAIPolicy",
        defaults=OPENAI,
        takes_model=True,
        requires=needs.format("openai"),
    )
    register("scripted", here + "scripted:ScriptedPolicy")
    register("expert", here + "expert:ExpertPolicy")
    register("random", here + "random_policy:RandomPolicy")

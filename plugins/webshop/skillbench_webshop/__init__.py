"""WebShop for skillbench: a native engine, generated shops, the official catalogue."""

from skillbench.hookspecs import hookimpl


@hookimpl
def skillbench_register_environments(register):
    """Register `webshop`: generated splits (train, test) and those of the official catalogue."""
    register(
        "webshop",
        "skillbench_webshop.env:WebshopEnvironment",
        splits=("train", "test", "small", "human", "full", "full_dev"),
        default_split="test",
        label="webshop-generated",
        policy="shopper",
        data="skillbench_webshop.data",
        defaults={
            "source": "auto",  # what `train` means: "generated", "official"; auto: as is scored
            "reward": "fixed",  # or "upstream": with the published code's option defect
            "search": "native",  # or "pyserini": Lucene itself (extra `pyserini`), slow
            "data": "",  # folder of the official files; "": WEBSHOP_DATA
            "disjoint": False,  # official train goals: leave out products that are tested
            "train_shops": 200,  # generated shops per split, 12 goals each
            "test_shops": 17,  # generated shops to score on
            "max_steps": 0,  # actions per episode; 0: 15, as published
            "repeat_goal": False,  # every page begins with the instruction, as upstream's do
        },
    )

"""ALFWorld for skillbench: a native engine, generated household games, the official games."""

from skillbench.hookspecs import hookimpl


@hookimpl
def skillbench_register_environments(register):
    """Register `alfworld`: generated splits (train, seen, unseen) and official ones (valid_*)."""
    register(
        "alfworld",
        "skillbench_alfworld.env:AlfworldEnvironment",
        splits=("train", "seen", "unseen", "valid_seen", "valid_unseen"),
        default_split="unseen",
        label="alfworld-generated",
        data="skillbench_alfworld.data",
        policy="household",
        defaults={
            "engine": "native",  # or "textworld": the stock engine (extra `reference`), slow
            "source": "auto",  # "generated", "official"; auto: official for valid_* alone
            "data": "",  # folder that holds json_2.1.1; "": ALFWORLD_DATA
            "train_games": 3000,  # generated games per split
            "seen_games": 200,  # games in floor plans that train has
            "unseen_games": 200,  # games in floor plans that train never shows
            "max_steps": 0,  # commands per episode; 0: 50 on official games, 30 on generated ones
            "python": "",  # interpreter that has alfworld, for engine="textworld"; "": this one
        },
    )

"""Search-augmented question answering for skillbench."""

from skillbench.hookspecs import hookimpl


@hookimpl
def skillbench_register_environments(register):
    """Register `searchqa`: a generated encyclopedia, the mini set, the official sets."""
    register(
        "searchqa",
        "skillbench_searchqa.env:SearchqaEnvironment",
        splits=("train", "test"),
        default_split="test",
        label="searchqa-generated",
        data="skillbench_searchqa.data",
        policy="reader",
        defaults={
            "source": "generated",  # or "mini" (SEARCHQA_DATA), "official" (data fetch)
            "data": "",  # folder of the questions and the corpus; "": SEARCHQA_DATA
            "corpus": "10k",  # of the mini set: "10k" or "32k"
            "search": "bm25",  # or fts, vector, hybrid, pyserini, http
            "url": "",  # of the search server, for search="http"
            "top_k": 3,  # passages of one search
            "max_steps": 4,  # searches and answers of an episode
            "passage_words": 120,  # a longer passage is cut there; 0: never
            "form": "plain",  # or "search_r1": the published layout of observations
            "train_questions": 3000,  # generated ones to learn from
            "test_questions": 200,  # generated ones to score on
            "cache": "",  # folder of the indexes; "": the user's cache
        },
    )


@hookimpl
def skillbench_register_commands(cli):
    """`skillbench searchqa serve`: the local index over Search-R1's /retrieve."""
    cli.add_command("searchqa", "skillbench_searchqa.serve:command", help="serve a search index")

"""Teachers: causal chains, evidence, the offline teacher, and the one behind an endpoint."""

from __future__ import annotations

import json

import pytest
from methods_loopback import Handler, Loopback
from skillbench_methods.teachers.causal import Causal
from skillbench_methods.teachers.chain import Event, Plain, abstract, backward_chain, common_plan
from skillbench_methods.teachers.excerpts import spread
from skillbench_methods.teachers.llm import OpenAI
from skillbench_methods.teachers.schema import check

from skillbench.errors import ConfigError, TeacherError, UsageError
from skillbench.records import Episode, Skill, Step, Task

DETOUR = [
    "go to shelf 1",
    "go to drawer 2",
    "open drawer 2",
    "close drawer 2",
    "go to desk 1",
    "take mug 3 from desk 1",
    "go to sinkbasin 1",
    "look",
    "clean mug 3 with sinkbasin 1",
    "go to shelf 1",
    "put mug 3 on shelf 1",
]


def play(
    number, actions, *, success=True, kind="clean", goal="put a clean mug on shelf", valid=None
):
    task = Task(f"train-{number}", "house", "train", kind, goal)
    steps = tuple(Step("o", "r", a, valid=valid is None or valid[i]) for i, a in enumerate(actions))
    return Episode(task, 0, "success" if success else "failure", success, steps)


# ---------------------------------------------------------------------- chains


def test_the_chain_drops_detours_and_keeps_preconditions():
    kept = [DETOUR[i] for i in backward_chain(DETOUR, Plain())]
    assert kept == [
        "go to desk 1",
        "take mug 3 from desk 1",
        "go to sinkbasin 1",
        "clean mug 3 with sinkbasin 1",
        "go to shelf 1",
        "put mug 3 on shelf 1",
    ]


def test_a_second_thing_brought_to_the_same_place_stays_in_the_chain():
    actions = [
        "go to desk 1",
        "take mug 1 from desk 1",
        "go to shelf 1",
        "put mug 1 on shelf 1",
        "go to bed 1",
        "take mug 2 from bed 1",
        "go to shelf 1",
        "put mug 2 on shelf 1",
    ]
    kept = [actions[i] for i in backward_chain(actions, Plain())]
    assert "put mug 1 on shelf 1" in kept
    assert "take mug 1 from desk 1" in kept


def test_invalid_steps_and_empty_episodes():
    assert backward_chain([], Plain()) == []
    assert backward_chain(["go to desk 1", "put mug 1 on desk 1"], Plain(), [True, False]) == [0]


def test_actions_with_brackets_are_read_too():
    assert Plain().parse("search[red shoes]") == Event("search", ("red shoes",))
    assert abstract("take mug 3 from desk 1", Plain()) == "take mug from desk"


def test_the_common_plan_keeps_what_does_not_vary():
    other = [
        a.replace("mug 3", "pan 1").replace("desk 1", "bed 2").replace("shelf 1", "table 1")
        for a in DETOUR
    ]
    plan = common_plan([play(1, DETOUR), play(2, other)], Plain())
    assert plan[3] == "clean something with sinkbasin"
    assert plan[0] == "go to something"


# ---------------------------------------------------------------------- the offline teacher


class Words:
    """A vocabulary of one way of acting ("neat") and one sighting ("lay": thing, place)."""

    parse, kind = Plain().parse, Plain().kind

    def __init__(self, facts, ranked=None):
        self.facts = facts
        if ranked:
            self.RANKED = ranked

    def evidence(self, episode):
        return self.facts[episode.task.id]

    def phrase(self, key, slots):
        if key == "neat":
            return {
                "title": "Be neat",
                "principle": "Be neat always.",
                "kind": "general",
                "task_type": None,
            }
        if key == "lay":
            places = ", then ".join(slots[k] for k in ("a", "b") if k in slots)
            return {"title": "Where", "principle": f"Look for a {slots['o']} in {places}."}
        return None


class House:
    def __init__(self, words):
        self.words = words

    def causal(self):
        return self.words


def lay(thing, place):
    return ("lay", True, {"o": thing, "a": place})


def teacher(facts, ranked=None, **config):
    return Causal(config=config, environment=House(Words(facts, ranked)))


def test_ways_of_acting_are_judged_by_what_they_solved():
    facts = {f"train-{i}": [("neat", i <= 3, {})] for i in range(1, 7)}
    good = [play(i, [], success=i <= 3) for i in range(1, 7)]
    (skill,) = teacher(facts).distill(good, step=0)
    assert skill.principle == "Be neat always."
    assert len(skill.source_tasks) == 6
    assert skill.meta["with"] == [0, 3]
    assert skill.meta["without"] == [3, 0]
    assert teacher(facts).distill([play(i, [], success=i > 3) for i in range(1, 7)]) == []


def test_an_entry_needs_distinct_tasks():
    facts = {"train-1": [("neat", False, {})]}
    episodes = [play(1, [], success=False)] * 5
    assert teacher(facts).distill(episodes) == []
    assert len(teacher(facts, min_support=1).distill(episodes)) == 1


def test_sightings_compete_and_the_best_are_named():
    facts = {
        f"train-{i}": [lay("mug", p)]
        for i, p in enumerate(["shelf", "shelf", "shelf", "desk", "desk", "bed"], 1)
    }
    episodes = [play(i, [], success=bool(i % 2)) for i in range(1, 7)]
    (skill,) = teacher(facts, {"lay": ("a", "b")}).distill(episodes)
    assert skill.principle == "Look for a mug in shelf, then desk."
    assert skill.meta["counts"] == {"bed": 1, "desk": 2, "shelf": 3}
    assert skill.meta["goal_words"] == ["mug"]  # every goal named it
    apart = teacher(facts).distill(episodes)
    assert [s.principle for s in apart] == ["Look for a mug in desk.", "Look for a mug in shelf."]


def test_refining_adds_what_is_not_covered_and_corrects_what_changed():
    facts = {
        "train-1": [lay("mug", "shelf")],
        "train-2": [lay("mug", "shelf")],
        **{f"train-{i}": [lay("mug", "bed"), ("neat", False, {})] for i in range(10, 14)},
    }
    rules = teacher(facts, {"lay": ("a", "b")})
    bank = rules.distill([play(1, []), play(2, [])])
    assert [s.principle for s in bank] == ["Look for a mug in shelf."]
    failures = [play(i, [], success=False) for i in range(10, 14)]
    new, refined = rules.refine(failures, bank, max_new=3, step=4)
    assert [s.principle for s in new] == ["Be neat always."]
    assert [(s.principle, s.parent) for s in refined] == [
        ("Look for a mug in bed, then shelf.", bank[0].id)
    ]
    assert refined[0].meta["counts"] == {"bed": 4, "shelf": 2}
    assert set(refined[0].source_tasks) == {
        "train-1",
        "train-2",
        *(f"train-{i}" for i in range(10, 14)),
    }
    assert all(s.step == 4 for s in new + refined)
    again = rules.refine(failures, [*new, *refined], max_new=3, step=6)
    assert again[0] == []
    assert rules.refine(failures, bank, max_new=0)[0] == []


def test_without_a_vocabulary_the_plan_is_the_entry():
    (skill,) = Causal().distill(
        [play(1, DETOUR), play(2, DETOUR), play(3, ["go to bed 1"], success=False)]
    )
    assert skill.task_type == "clean"
    assert "clean mug with sinkbasin" in skill.principle
    assert "drawer" not in skill.principle
    assert skill.source_tasks == ("train-1", "train-2")
    assert Causal().refine([play(3, [], success=False)], [], max_new=3) == ([], [])


def test_trajectories_instead_of_skills():
    rules = Causal(config={"form": "trajectories", "per_type": 1})
    (skill,) = rules.distill(
        [play(1, DETOUR), play(2, [*DETOUR, "look"]), play(3, DETOUR, success=False)]
    )
    assert skill.principle.startswith(
        "put a clean mug on shelf: go to shelf, go to drawer, open drawer"
    )
    assert skill.source_tasks == ("train-1",)
    with pytest.raises(ConfigError, match="did you mean 'trajectories'"):
        Causal(config={"form": "trajectory"})


# ---------------------------------------------------------------------- the endpoint


class Endpoint(Loopback):
    """A loopback server that answers chat completions with prepared texts."""

    def __init__(self, answers):
        self.answers, self.requests = list(answers), []
        outer = self

        class Answers(Handler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                answer = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                status, text = answer if isinstance(answer, tuple) else (200, answer)
                if status == 200:
                    message = {"role": "assistant", "content": text}
                    used = {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010}
                    choice = {"index": 0, "finish_reason": "stop", "message": message}
                    about = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
                    self.send(status, {**about, "choices": [choice], "usage": used})
                else:
                    self.send(status, text.encode())

        super().__init__(Answers)


def item(title="Open what is closed", **more):
    return {
        "title": title,
        "principle": "Open closed places at once.",
        "when_to_apply": "searching",
        **more,
    }


def skills_answer(*items):
    return json.dumps({"skills": list(items or [item()])})


def ask(endpoint, spent=None, **config):
    def spend(phase, role, usage, model):
        if spent is not None:
            spent.append((phase, role, usage, model))

    return OpenAI("m", {"base_url": endpoint.url, **config}, spend=spend)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key-123")


EPISODES = [play(1, DETOUR), play(2, ["go to bed 1"], success=False), play(3, DETOUR, kind="heat")]


def test_a_bank_is_distilled_and_paid_for():
    spent = []
    with Endpoint([skills_answer()]) as endpoint:
        bank = ask(endpoint, spent, usd_per_mtok_in=2.0, usd_per_mtok_out=8.0).distill(EPISODES)
    kinds = [(s.kind, s.task_type) for s in bank]
    assert kinds == [
        ("general", None),
        ("task_type", "clean"),
        ("task_type", "heat"),
        ("mistake", None),
    ]
    assert bank[1].source_tasks == ("train-1", "train-2")
    assert all(s.author == "openai:m" and s.source_split == "train" for s in bank)
    assert [(p, r, m) for p, r, _, m in spent] == [("distill", "teacher", "openai:m")] * 4
    assert spent[0][2].usd == pytest.approx(1000 * 2e-6 + 10 * 8e-6)
    prompt = endpoint.requests[0]["messages"][1]["content"]
    assert "clean mug 3 with sinkbasin 1" in prompt
    assert "It failed." in prompt
    assert "secret" not in json.dumps(endpoint.requests)


def test_a_fault_is_fed_back_and_mended():
    with Endpoint(
        ["no idea", '{"skills": [{"title": "x"}]}', f"Sure!\n```json\n{skills_answer()}\n```"]
    ) as endpoint:
        teacher = ask(endpoint)
        assert len(teacher._ask_skills([("general", EPISODES, None)], 0)) == 1
    said = [r["messages"][-1]["content"] for r in endpoint.requests]
    assert "holds no JSON object" in said[1]
    assert "lacks 'principle'" in said[2]


def test_answers_that_stay_wrong_end_loudly():
    spent = []
    with (
        Endpoint(['{"skills": []}']) as endpoint,
        pytest.raises(TeacherError, match=r"3 answers that cannot be used.*at least 1"),
    ):
        ask(endpoint, spent).distill(EPISODES)
    assert len(spent) == 3  # what was paid is on the ledger all the same


def test_a_refusing_server_ends_loudly_without_the_key():
    with (
        Endpoint([(401, '{"error": {"message": "bad key secret-key-123"}}')]) as endpoint,
        pytest.raises(TeacherError) as caught,
    ):
        ask(endpoint).distill(EPISODES)
    assert "AuthenticationError" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_garbage_from_the_server_ends_loudly():
    with Endpoint([(200.0, "<html>")]) as endpoint:
        endpoint.answers = [(200, None)]
        with pytest.raises(TeacherError, match="holds no JSON object"):
            ask(endpoint, attempts=1).distill(EPISODES)


def test_refining_by_endpoint():
    old = Skill("Search", "Search every place.", source_tasks=("train-9",))
    answer = {
        "new": [
            item("One", task_type=None),
            item("Two", task_type="clean"),
            item("Three", task_type=None),
        ],
        "refined": [{"replaces": old.id, **item("Search once")}],
    }
    wrong = {"new": [], "refined": [{"replaces": "g_0", **item()}]}
    with Endpoint([json.dumps(wrong), json.dumps(answer)]) as endpoint:
        new, refined = ask(endpoint).refine(EPISODES[1:2], [old], max_new=2, step=6)
    assert [(s.title, s.kind) for s in new] == [("One", "general"), ("Two", "task_type")]
    (better,) = refined
    assert (better.parent, better.step) == (old.id, 6)
    assert better.source_tasks == ("train-2", "train-9")
    assert "no advice with the id" in endpoint.requests[1]["messages"][-1]["content"]


def test_a_model_and_a_key_are_asked_for(monkeypatch):
    with pytest.raises(UsageError, match="--teacher openai:MODEL"):
        OpenAI(None)
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(UsageError, match="OPENAI_API_KEY"):
        OpenAI("m").distill(EPISODES)


def test_prompts_show_all_types_and_both_outcomes():
    many = [play(i, [], success=i % 3 == 0, kind="abc"[i % 3]) for i in range(30)]
    shown = spread(many, 6)
    assert {e.task.task_type for e in shown} == {"a", "b", "c"}
    assert {e.success for e in shown} == {True, False}


def test_the_schema_check_says_where():
    schema = {
        "type": "object",
        "required": ["a"],
        "additionalProperties": False,
        "properties": {
            "a": {"type": "array", "maxItems": 2, "items": {"type": "string", "maxLength": 3}},
            "b": {"type": ["string", "null"]},
            "c": {"enum": [1, 2]},
        },
    }
    assert check({"a": ["x"], "b": None, "c": 1}, schema) is None
    assert "the answer.a[1] has 4 characters" in check({"a": ["x", "long"]}, schema)
    assert "lacks 'a'" in check({}, schema)
    assert "unknown keys: z" in check({"a": [], "z": 1}, schema)
    assert "at most 2" in check({"a": ["", "", ""]}, schema)
    assert "not int" in check({"a": 3}, schema)
    assert "not bool" in check({"a": [True]}, schema)
    assert "one of [1, 2]" in check({"a": [], "c": 3}, schema)


def test_a_way_of_acting_stays_out_only_where_it_solved_measurably_less():
    from skillbench_methods.teachers.evidence import Tally

    close = Tally("direct", (), good=[14, 14], bad=[14, 17])
    assert close.lift == pytest.approx(14 / 28 - 17 / 31)
    # Shrunk rates 15/30 and 18/33: sqrt(.25/28 + .2479/31).
    assert close.lift_error == pytest.approx(0.1302, abs=1e-4)
    assert close.lift + close.lift_error > 0
    worse = Tally("direct", (), good=[24, 4], bad=[14, 17])
    assert worse.lift + worse.lift_error < 0

"""Expert and random through the harness's one loop; 1 and 64 concurrent episodes are the same."""

import asyncio

import pytest
from skillbench_memory.none import NoMemory
from skillbench_policies.expert import ExpertPolicy
from skillbench_policies.random_policy import RandomPolicy
from skillbench_searchqa.env import SearchqaEnvironment
from skillbench_searchqa.expert import Expert

from skillbench.agent import Agent
from skillbench.rollout import Loop, Slot, play

TASKS = SearchqaEnvironment().tasks("test")


def episodes(policy, tasks, at_once: int):
    agent = Agent.make({}, policy.style, temperature=0.7, top_p=1.0)
    loop = Loop(agent, policy, NoMemory(), SearchqaEnvironment)
    out = []
    for start in range(0, len(tasks), at_once):
        slots = [Slot(t, 0, "score") for t in tasks[start : start + at_once]]
        out += asyncio.run(play(slots, loop))
    return out


def told(found):
    return [(e.outcome, e.metrics, [(s.observation, s.action) for s in e.steps]) for e in found]


def test_expert_solves_generated_questions():
    found = episodes(ExpertPolicy(None, {}), TASKS, 200)
    assert sum(e.success for e in found) >= 0.9 * len(found)
    assert all(e.metrics["exact_match"] == e.success for e in found)


def test_random_solves_next_to_nothing():
    found = episodes(RandomPolicy(None, {}), TASKS, 200)
    assert sum(e.success for e in found) <= 0.02 * len(found)
    assert {e.outcome for e in found} <= {"success", "failure", "truncated"}


@pytest.mark.parametrize("policy", [ExpertPolicy, RandomPolicy])
def test_one_and_64_episodes_at_once_are_the_same(policy):
    assert told(episodes(policy(None, {}), TASKS[:64], 1)) == told(
        episodes(policy(None, {}), TASKS[:64], 64)
    )


def test_expert_survives_what_it_does_not_understand():
    expert = Expert("Question: what is love")
    assert expert.act("Question: what is love", ()) == "<search>what is love</search>"
    assert expert.act("Nothing was found.", ()) == "<answer></answer>"
    assert Expert("").act("", ()).startswith("<search>")
    lost = Expert("Question: What is the land of Port Ashford?")
    assert lost.act("", ()) == "<search>Port Ashford lies</search>"
    assert lost.act("Nothing was found.", ()) == "<search>Port Ashford land</search>"


def test_expert_on_real_questions(mini, index_home):
    def make():
        return SearchqaEnvironment(source="mini", data=str(mini), cache=str(index_home))

    tasks = make().tasks("test")[:40]
    agent = Agent.make({}, "compact", temperature=0.7, top_p=1.0)
    loop = Loop(agent, ExpertPolicy(None, {}), NoMemory(), make)
    found = asyncio.run(play([Slot(t, 0, "score") for t in tasks], loop))
    assert {e.outcome for e in found} <= {"success", "failure"}

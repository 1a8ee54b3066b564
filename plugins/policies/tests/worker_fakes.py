"""Policies for the tests of the worker processes that need no model, and so start at once."""

from skillbench.errors import UsageError
from skillbench.records import Completion


class Echo:
    """Answers with what it was asked, and knows which episodes it holds."""

    def __init__(self, source, config):
        self.held = set()

    def model(self):
        return None

    def answer(self, requests):
        self.held |= {request.episode_id for request in requests}
        text = ",".join(sorted(self.held))
        return [Completion(f"{r.episode_id} of {text}") for r in requests]

    def release(self, episode_id):
        self.held.discard(episode_id)


class Missing(Echo):
    """Cannot be loaded."""

    def model(self):
        raise UsageError("cannot load the model of missing")


class Faulty(Echo):
    """Raises what no policy should."""

    def answer(self, requests):
        raise ZeroDivisionError("inside")

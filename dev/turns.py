"""Which records a long test takes today: those that no other is made of, where the newest is, and a
third of the rest by turns, so that each has been there within three days. The weekly run takes all."""
import time


def turns(records: dict, day: int | None = None) -> list:
    "Recipes out of a dict of all records; the day is today's by default, counted from 1970"
    day = int(time.time()//86_400) if day is None else day
    parents = {r.parent.name for r in records.values() if r.parent}
    others = [r for r in records.values() if r.name in parents]
    return [r for r in records.values() if r.name not in parents or r in others[day % 3::3]]

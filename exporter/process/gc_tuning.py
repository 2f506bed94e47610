"""Keep Python's garbage collector from what stays.

It would look through all of it again and again, and hold the event loop meanwhile: for 0.1 s with
ten thousand servers. What is kept here is out of its sight.
"""

import gc

# Python's own 10 made for a full collection every five seconds with fifty thousand servers, of a
# quarter of a second each, that found nothing: results replace results, and end with that.
_YOUNGER_COLLECTIONS = 300


def pause() -> None:
    """Collect nothing while much is built that will stay; `keep` and `go_on` end it."""
    gc.disable()


def go_on() -> None:
    """Collect again."""
    gc.enable()


def keep() -> None:
    """Keep all that there is now, and collect what comes later: what grows old, but seldom."""
    gc.freeze()
    gc.set_threshold(*gc.get_threshold()[:2], _YOUNGER_COLLECTIONS)
    gc.enable()


def look_through_everything() -> None:
    """Collect what was kept and is of no use any more; the rest is kept again.

    Takes 0.1 s with ten thousand servers.
    """
    gc.unfreeze()
    gc.collect()
    gc.freeze()

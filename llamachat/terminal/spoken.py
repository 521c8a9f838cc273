"""What of an answer was meant to be heard: the thoughts before it are taken away."""

from llamachat.terminal.reasoning import Thought, markers_of


def spoken(text: str, template: str) -> str:
    """The answer without its thoughts, as the template marks them; "" where it never came to an answer."""
    markers = markers_of(template)
    if markers is None:
        return text
    thought = Thought(markers, inside=markers.opening not in text and markers.closing in text)
    return "".join(piece for hidden, piece in [*thought.feed(text), *thought.finish()] if not hidden).lstrip("\n")

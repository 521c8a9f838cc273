"""How the commands of a chat are ordered for a person, and an example of each: /help and docs/chat.md read it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A line that can be typed, and what it does."""

    line: str
    meaning: str


GROUPS: dict[str, tuple[str, ...]] = {
    "Answers": ("/regen", "/retry", "/continue", "/undo", "/edit", "/why", "/copy", "/thoughts"),
    "Messages": ("/file", "/read", "/system", "/think", "/json", "/grammar"),
    "Chats": ("/new", "/clear", "/sessions", "/load", "/save", "/fork", "/export", "/history", "/branches", "/switch"),
    "Models and settings": ("/set", "/model", "/models", "/lora", "/show", "/stats", "/tokens", "/template"),
    "The program": ("/help", "/?", "/quit", "/exit", "/bye"),
}
"""Headings, and the commands below them. What stands under none comes last."""

EXAMPLES: dict[str, Example] = {
    "/regen": Example("/regen", "another answer to your last message"),
    "/retry": Example("/retry", "the same"),
    "/continue": Example("/continue", "the rest of an answer that you stopped"),
    "/undo": Example("/undo 2", "your last two messages and their answers are taken back"),
    "/edit": Example("/edit 1", "your first message in the editor"),
    "/why": Example("/why 3 2", "the answer anew from its third word on, with the second alternative"),
    "/copy": Example("/copy code 2", "the second code block of the last answer goes to the clipboard"),
    "/thoughts": Example("/thoughts", "what the model thought before its last answer"),
    "/file": Example("/file notes.txt", "what notes.txt holds goes before your next message"),
    "/read": Example("/read notes.txt", "the same; without a path you type lines until one with only a dot"),
    "/system": Example("/system Answer in one sentence.", "the system prompt from the next answer on"),
    "/think": Example("/think off", "the model answers at once"),
    "/json": Example('/json {"type": "integer"}', "answers are JSON of this schema until /json off"),
    "/grammar": Example('/grammar root ::= "yes" | "no"', "answers are one of these words until /grammar off"),
    "/new": Example("/new", "an empty chat; the one before is kept"),
    "/clear": Example("/clear", "the same"),
    "/sessions": Example("/sessions pancakes", "the chats in which this word was written"),
    "/load": Example("/load recipes", "the chat of this name, or of this number"),
    "/save": Example("/save recipes", "this chat has a name"),
    "/fork": Example("/fork other", "a copy of this chat, in which you continue"),
    "/export": Example("/export chat.md", "the chat as Markdown; .json, .jsonl and .html are known, too"),
    "/history": Example("/history", "the whole chat in your pager"),
    "/branches": Example("/branches", "what was answered otherwise, edited or taken back"),
    "/switch": Example("/switch 1", "the first branch of /branches"),
    "/set": Example('/set stop "THE END" STOP', "an answer ends before one of these texts; /set stop default"),
    "/model": Example("/model gemma3", "another model continues this chat"),
    "/models": Example("/models", "the models that are on this machine"),
    "/lora": Example("/lora style.gguf 0.5", "the model with half of this adapter's effect; /lora off removes it"),
    "/show": Example("/show", "model, context, template, chat and settings"),
    "/stats": Example("/stats", "how fast the last answer was"),
    "/tokens": Example("/tokens strawberry", "the tokens of a word"),
    "/template": Example("/template", "the chat as the model reads it"),
    "/help": Example("/help undo", "what one command does"),
    "/?": Example("/?", "the same as /help"),
    "/quit": Example("/quit", "quit; the chat is kept"),
    "/exit": Example("/exit", "the same"),
    "/bye": Example("/bye", "the same"),
}

"""Options of llama.cpp and Ollama that people type by habit: what each means here, or what to type instead.

Three kinds, tried in this order for a command: an option that the command has under another name; one that changes
nothing here, which is said once; one that is refused with what to type. Nothing is dropped without a word.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llamachat.cli.words import dashed, option_words
from llamachat.errors import UsageError


@dataclass(frozen=True)
class PeerOption:
    """An option of another program. takes: whether a value follows.

    becomes: our own option, used where the command has it; `{}` in it is the value. no_effect: why it changes nothing,
    or "". instead: what to type, where neither holds; `{}` is the value, `{command}` the command.
    """

    takes: bool = False
    becomes: str = ""
    no_effect: str = ""
    instead: str = "this program has nothing like it"


PROCESSOR = "models run on the CPU only"
PACKED = "weights are repacked into memory when a model is loaded"
SIZED = "batch sizes are chosen automatically"
TEMPLATES = "chat templates are always Jinja"
SILENT = "the program writes no log"

CHAT = "a conversation is `llamachat chat`; one answer is `llamachat run --chat`"
TURNS = "a dialogue that stops for your input is `llamachat interactive {name} ...`"
RUNNING = "commands that run a model have {name}"
PICTURES = "images, audio and video are not supported"
THINKING = "use --reasoning show, hide or off"

_GROUPS: Mapping[str, PeerOption] = {
    "-hf -hfr --hf-repo --hf": PeerOption(takes=True, becomes="--model=hf:{}", instead="llamachat pull hf:{}"),
    "-mu --model-url": PeerOption(takes=True, becomes="--model={}", instead="llamachat pull {}"),
    "-hff --hf-file": PeerOption(takes=True, instead="name the file behind the repository: -m hf:owner/repository/{}"),
    "-hft --hf-token": PeerOption(takes=True, instead="set the environment variable HF_TOKEN"),
    "-dr --docker-repo": PeerOption(takes=True, instead="models come from hf:owner/repository or https://..."),
    "-cl --cache-list": PeerOption(instead="llamachat models"),
    "-sys --system-prompt": PeerOption(takes=True, becomes="--system={}", instead="only chat and run have --system"),
    "-sysf --system-prompt-file": PeerOption(
        takes=True, becomes="--system-file={}", instead="only chat and run have --system-file"
    ),
    "-co": PeerOption(becomes="--color"),
    "-bf --binary-file": PeerOption(takes=True, becomes="--file={}"),
    "--predict-n": PeerOption(takes=True, becomes="--n-predict={}"),
    "--num-ctx --ctx": PeerOption(takes=True, becomes="--ctx-size={}"),
    "--num-predict --max-tokens": PeerOption(takes=True, becomes="--n-predict={}"),
    "--reverse-prompt -r": PeerOption(takes=True, instead=f"to end an answer at a text use --stop; {TURNS}"),
    "--log-disable": PeerOption(becomes="--quiet", no_effect=SILENT),
    "--log-enable --log-new --log-append --log-test --log-prefix --log-timestamps": PeerOption(no_effect=SILENT),
    "--log-colors -lv --log-verbosity --verbosity --log-verbose": PeerOption(takes=True, no_effect=SILENT),
    "--log-file --log-jsonl -ld --logdir --log-prompts-dir": PeerOption(
        takes=True, instead="progress and figures go to standard error: 2> {}"
    ),
    "--no-display-prompt": PeerOption(becomes="--no-echo", instead="only interactive prints the prompt"),
    "--display-prompt": PeerOption(becomes="--echo", instead="only `llamachat run` has --echo"),
    "--verbose-prompt": PeerOption(instead="`llamachat run --dry-run` shows the prompt and its tokens"),
    "-sp --special": PeerOption(instead="control tokens are never part of an answer; `llamachat tokenize` shows them"),
    "--perf --show-timings": PeerOption(becomes="--timings", instead="use --verbose"),
    "--no-perf --no-show-timings": PeerOption(becomes="--no-timings", no_effect="timings are printed only on request"),
    "-cnv --conversation": PeerOption(instead=CHAT),
    "-no-cnv --no-conversation --no-cnv": PeerOption(instead="to continue a text as it stands use `llamachat run`"),
    "-st --single-turn": PeerOption(instead="one answer is `llamachat run --chat`"),
    "-i --interactive": PeerOption(instead="use the command `llamachat interactive` or `llamachat chat`"),
    "-if --interactive-first": PeerOption(instead="that is an option of `llamachat interactive`"),
    "-ins --instruct -cml --chatml": PeerOption(instead=CHAT),
    "-mli --multiline-input": PeerOption(
        instead="in a chat Alt+Enter, Ctrl+J or Shift+Enter starts a new line; `llamachat interactive` has the option"
    ),
    "--in-prefix --in-suffix": PeerOption(takes=True, instead=TURNS),
    "--in-prefix-bos": PeerOption(instead=TURNS),
    "--simple-io": PeerOption(instead="set TERM=dumb for lines without an editor; in a pipe nothing is decorated"),
    "--jinja --skip-chat-parsing": PeerOption(no_effect=TEMPLATES),
    "--no-jinja": PeerOption(instead=f"{TEMPLATES}; --chat-template NAME takes another one"),
    "--chat-template-file": PeerOption(takes=True, becomes="--chat-template={}"),
    "--reasoning-format --reasoning-budget --reasoning-effort": PeerOption(takes=True, instead=THINKING),
    "--think --hidethinking": PeerOption(instead=THINKING),
    "--nowordwrap": PeerOption(instead="answers without decoration are --plain"),
    "--keepalive": PeerOption(takes=True, no_effect="no server keeps the model"),
    "--format": PeerOption(takes=True, instead="use --json or --json-schema"),
    "--insecure": PeerOption(instead="models are only fetched over https"),
    "--mlock": PeerOption(no_effect=PACKED),
    "--mmap --no-mmap -dio --direct-io": PeerOption(no_effect=PACKED),
    "-lm --load-mode -lzm --lazy-mode": PeerOption(takes=True, no_effect=PACKED),
    "--check-tensors": PeerOption(instead="sizes and offsets are always checked, values are not"),
    "--override-kv": PeerOption(takes=True, instead=RUNNING),
    "-b --batch-size -ub --ubatch-size": PeerOption(takes=True, no_effect=SIZED),
    "-tb --threads-batch": PeerOption(takes=True, no_effect="prefill uses the threads of -t"),
    "-C --cpu-mask -Cr --cpu-range --cpu-strict --prio --poll -Cb --cpu-mask-batch -Crb --cpu-range-batch "
    "--cpu-strict-batch --prio-batch --poll-batch": PeerOption(
        takes=True, no_effect="the operating system schedules the threads (see taskset and nice)"
    ),
    "--numa": PeerOption(takes=True, no_effect="the operating system schedules the threads (see numactl)"),
    "--warmup --no-warmup": PeerOption(no_effect="there is no warm-up run"),
    "-fa --flash-attn": PeerOption(takes=True, no_effect="attention never stores the whole matrix of scores"),
    "-nkvo --no-kv-offload -kvo --kv-offload --no-op-offload --op-offload --no-host -cmoe --cpu-moe": PeerOption(
        no_effect=PROCESSOR
    ),
    "-ngl --gpu-layers --n-gpu-layers -sm --split-mode -ts --tensor-split -mg --main-gpu -dev --device -ot "
    "--override-tensor -ncmoe --n-cpu-moe -fit --fit -fitt -fitc": PeerOption(takes=True, no_effect=PROCESSOR),
    "--list-devices": PeerOption(instead="`llamachat doctor` reports on the CPU, the only device"),
    "--rpc": PeerOption(takes=True, instead=PROCESSOR),
    "-nr --no-repack --repack": PeerOption(no_effect=PACKED),
    "-dt --defrag-thold": PeerOption(takes=True, no_effect="the KV cache is never fragmented"),
    "-dkvc --dump-kv-cache": PeerOption(instead="the KV cache cannot be printed"),
    "--swa-full": PeerOption(no_effect="the program chooses how many tokens each layer keeps"),
    "--rope-scaling --rope-scale --rope-freq-base --rope-freq-scale --yarn-orig-ctx --yarn-ext-factor "
    "--yarn-attn-factor --yarn-beta-slow --yarn-beta-fast": PeerOption(takes=True, instead=RUNNING),
    "--lora --lora-scaled --control-vector --control-vector-scaled --control-vector-layer-range": PeerOption(
        takes=True, instead=RUNNING
    ),
    "--lora-base": PeerOption(takes=True, no_effect="adapters are applied beside the weights as they are"),
    "--lora-init-without-apply": PeerOption(instead="an adapter with --lora-scaled FILE 0 waits for /lora in a chat"),
    "-mm --mmproj --image --audio --video": PeerOption(takes=True, instead=PICTURES),
    "--cfg-negative-prompt --cfg-negative-prompt-file --cfg-scale": PeerOption(takes=True),
    "-ptc --print-token-count": PeerOption(takes=True, instead="--verbose prints the number of tokens"),
    "--completion-bash": PeerOption(instead="llamachat completion bash"),
    "--server-base": PeerOption(takes=True, instead="there is no server to connect to"),
}

PEER_OPTIONS: Mapping[str, PeerOption] = {name: option for names, option in _GROUPS.items() for name in names.split()}
"""Each by every name that it has."""

ALREADY: Mapping[str, frozenset[str]] = {
    "chat": frozenset({"-cnv", "--conversation"}),
    "run": frozenset({"-no-cnv", "--no-cnv", "--no-conversation"}),
    "interactive": frozenset({"-i", "--interactive", "-no-cnv", "--no-cnv", "--no-conversation"}),
}
"""What a command does anyway."""

VALUELESS = frozenset({"-fa", "--flash-attn"})
"""Options that once took no value: one follows only where it is among these."""
SWITCH_VALUES = ("on", "off", "auto", "1", "0")

COMMANDS = {
    "complete": "run",
    "completions": "completion",
    "create": "pull",
    "delete": "models rm",
    "download": "pull",
    "fetch": "pull",
    "generate": "run",
    "get": "pull",
    "history": "sessions",
    "info": "show",
    "install": "pull",
    "list": "models",
    "logs": "sessions",
    "ls": "models",
    "repl": "chat",
    "resume": "chat --continue",
    "rm": "models rm",
    "settings": "config",
    "talk": "chat",
    "template": "templates",
    "tokens": "tokenize",
    "version": "--version",
}
"""Names of other programs' commands, and ours for the same."""

_WORDS = {
    "config get list ls print view": "config show",
    "config add open reset set unset": "config edit",
    "models add download fetch get install pull": "pull",
    "models info inspect show": "show",
    "models ls": "models list",
    "models del delete prune remove uninstall": "models rm",
    "sessions cat open print view": "sessions show",
    "sessions clone copy cp": "sessions fork",
    "sessions continue load resume": "chat --continue",
    "sessions del remove rm": "sessions delete",
    "sessions find grep": "sessions search",
    "sessions ls": "sessions list",
    "sessions move mv name": "sessions rename",
    "sessions save": "sessions export",
}

ACTIONS = {(words.split()[0], word): ours for words, ours in _WORDS.items() for word in words.split()[1:]}
"""A command of ours and another program's word for what it does, and ours for the same."""


def translated(words: Sequence[str], command: Any) -> tuple[list[str], list[str]]:
    """The words of a command line with peers' options in our spelling, and the sentences about those without effect.

    Raises UsageError for one that means nothing here, with what to type instead.
    """
    own = {name for one in command.params for name in (*one.opts, *one.secondary_opts)}
    foreign = {name: option for name, option in PEER_OPTIONS.items() if name not in own}
    made: list[str] = []
    said: list[str] = []
    for word, name, value in _paired(words, command, foreign):
        if name is None:
            made.append(word)
        elif name not in ALREADY.get(command.name, ()):
            made += _meant(name, foreign[name], value, own, said, command.name)
    return made, said


def _paired(
    words: Sequence[str], command: Any, foreign: Mapping[str, PeerOption]
) -> Iterator[tuple[str, str | None, str]]:
    """Each word, or the name of a peer's option with its value ("" for none)."""
    valued = {name for name, option in foreign.items() if option.takes and name not in VALUELESS}
    flags = list(option_words(words, command, valued))
    at = 0
    while at < len(words):
        word, is_option = words[at], flags[at]
        at += 1
        spelled, equals, value = word.partition("=")
        name = dashed(spelled) if spelled.startswith("--") else spelled
        if not is_option or name not in foreign:
            yield word, None, ""
            continue
        following = words[at] if at < len(words) else None
        wants = name in valued or (name in VALUELESS and following in SWITCH_VALUES)
        if wants and not equals:
            if following is None:
                raise UsageError(f"{name} needs a value behind it")
            value, at = following, at + 1
        yield word, name, value


def _meant(name: str, option: PeerOption, value: str, own: set[str], said: list[str], command: str) -> list[str]:
    ours, _, form = option.becomes.partition("=")
    if ours and ours in own:
        return [f"{ours}={form.replace('{}', value)}" if form else ours]
    if option.no_effect:
        said.append(f"{name} has no effect: {option.no_effect}")
        return []
    instead = option.instead.replace("{}", value).replace("{name}", name)
    raise UsageError(f"{name} is no option of `llamachat {command}`: {instead}")

"""transformers' rendering of chats, for goldens and conformance."""
import datetime

import jinja2
import transformers
from transformers.utils import chat_template_utils as utils

TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def fnv1a(text):
    """FNV-1a of 64 bits of the UTF-8 text, in hexadecimal."""
    value = 0xCBF29CE484222325
    for byte in text.encode("utf-8"):
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return f"{value:016x}"


class Reference:
    def __init__(self, now):
        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz=None):
                return now

        utils.datetime = Clock

    def versions(self):
        return f"jinja2 {jinja2.__version__}, transformers {transformers.__version__}"

    def render_template(self, source, variables):
        """{"text"} or {"error", "raised"}: `raised` where jinja2 itself, not Python, says the error."""
        try:
            return {"text": utils._compile_jinja_template(source).render(**(variables or {}))}
        except jinja2.exceptions.TemplateError as error:
            return {"error": str(error.message), "raised": True}
        except Exception as error:  # noqa: BLE001: what Python raises within a template
            return {"error": f"{type(error).__name__}: {error}", "raised": False}

    def render_chat(self, source, chat):
        """As apply_chat_template(tokenize=False) does with a template of `source` and TOKENS."""
        try:
            normalize = getattr(utils, "_normalize_chat_messages", lambda messages: messages)
            rendered, _ = utils.render_jinja_template(
                conversations=[normalize(chat["messages"])],
                tools=chat.get("tools"),
                documents=chat.get("documents"),
                chat_template=source,
                add_generation_prompt=chat.get("add_generation_prompt", False),
                **{**TOKENS, **chat.get("variables", {})},
            )
            return {"text": rendered[0]}
        except jinja2.exceptions.TemplateError as error:
            return {"error": str(error.message), "raised": True}
        except Exception as error:  # noqa: BLE001
            return {"error": f"{type(error).__name__}: {error}", "raised": False}

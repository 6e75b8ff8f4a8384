"""Random conversations, tools and variables, for every real template; templates.py renders them with whit and transformers.

Values are JSON's own, of the kinds that programs put there: nested schemas, numbers of every size, null where a text is
expected, parts of content, calls with arguments as objects and as texts, reasoning under each of its names.
"""
import json
import random

TEXTS = ["hi", "", " ", "What is 2+2?", "  two\n lines \n", "<think>\nhm\n</think>\n\nyes", "<think></think>x", "a</think>b", "no <think>end", "Größe 世界 😀",
         "<a href='x'>\"&\"</a>", "{{ x }} {% if %}", "back\\slash \"quote\" 'q'", "tab\there", "\u2028\u00a0\u3000x", "\x07\x7f", "<tool_response>{}</tool_response>",
         "{\"a\": 1}", "[TOOL_CALLS]", "/no_think", "ok /think", "\n", "-", "0", "None", "<|im_end|>", "ends with space ", "\u00e9 e\u0301 ß ſ İ"]
WORDS = ["city", "unit", "n", "a b", "", "Größe", "class", "items", "keys", "type", "content", "0", "<k>", "it's", "properties"]
NUMBERS = [0, 1, -1, 7, 2**31, 2**53 + 1, 2**63, -2**63, 10**20, 0.0, -0.0, 0.5, 1.0, 1e20, 1e16, 1e15, 1e-5, 1e-4, 123456789.125, 1e300, 5e-324, 3.14, 1e22, 0.1]
TYPES = ["string", "integer", "number", "boolean", "object", "array", "null", ["string", "null"], ["integer", "number"]]
EFFORTS = ["low", "medium", "high", "", None, 3]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def chance(self, share):
        return self.random.random() < share

    def pick(self, options):
        return self.random.choice(options)

    def text(self):
        return self.pick(TEXTS) if self.chance(0.7) else "".join(self.pick(TEXTS) for _ in range(3))

    def json(self, depth=2):
        kind = self.random.random()
        if depth > 0 and kind < 0.2:
            return {self.pick(WORDS): self.json(depth - 1) for _ in range(self.random.randrange(4))}
        if depth > 0 and kind < 0.4:
            return [self.json(depth - 1) for _ in range(self.random.randrange(4))]
        return self.pick([self.text(), self.pick(NUMBERS), self.pick(NUMBERS), None, True, False])

    def schema(self, depth=2):
        kind = self.pick(TYPES)
        made = {} if self.chance(0.1) else {"type": kind}
        for key, value in [("description", self.text), ("default", self.json), ("enum", lambda: [self.json(0) for _ in range(self.random.randrange(4))]),
                           ("title", self.text), ("nullable", lambda: self.chance(0.5)), ("format", self.text), ("minimum", lambda: self.pick(NUMBERS))]:
            if self.chance(0.2):
                made[key] = value()
        if depth > 0 and (kind == "object" or self.chance(0.1)):
            made["properties"] = {self.pick(WORDS): self.schema(depth - 1) for _ in range(self.random.randrange(4))}
            if self.chance(0.6):
                made["required"] = [word for word in made["properties"] if self.chance(0.5)]
            if self.chance(0.2):
                made["additionalProperties"] = self.pick([False, True, {"type": "string"}])
        if depth > 0 and (kind == "array" or self.chance(0.05)):
            made["items"] = self.schema(depth - 1)
        if depth > 0 and self.chance(0.15):
            made[self.pick(["anyOf", "oneOf", "allOf"])] = [self.schema(depth - 1) for _ in range(self.random.randrange(1, 3))]
        if self.chance(0.05):
            made |= {"$ref": "#/$defs/x", "$defs": {"x": self.schema(0)}}
        return made

    def tool(self):
        function = {"name": self.pick(["get_weather", "f", "a.b", "Größe", "code_interpreter", "browser_search"])}
        if self.chance(0.85):
            function["description"] = self.text()
        if self.chance(0.9):
            function["parameters"] = self.schema() | {"type": "object", "properties": {self.pick(WORDS): self.schema() for _ in range(self.random.randrange(4))}}
        if self.chance(0.15):
            function[self.pick(["return", "response", "strict", "returns"])] = self.pick([self.schema(), True])
        return {"type": "function", "function": function} if self.chance(0.85) else function

    def call(self):
        arguments = {self.pick(WORDS): self.json() for _ in range(self.random.randrange(4))}
        function = {"name": self.pick(["get_weather", "f", "a.b"]), "arguments": arguments if self.chance(0.7) else json.dumps(arguments)}
        made = {"type": "function", "function": function} if self.chance(0.9) else dict(function)
        if self.chance(0.6):
            made["id"] = self.pick(["call_1", "abcdefghi", "123456789", "functions.f:0", ""])
        return made

    def parts(self):
        kinds = [lambda: {"type": "text", "text": self.text()}, lambda: {"type": "image"}, lambda: {"type": "image_url", "image_url": {"url": "u"}},
                 lambda: {"type": "image", "image": "i"}, lambda: {"type": "video"}, lambda: {"type": "audio"}, lambda: {"text": self.text()}, self.text,
                 lambda: {"type": "thinking", "thinking": self.text()}, lambda: {"type": "odd", "x": 1}]
        return [self.pick(kinds[:1] * 8 + kinds)() for _ in range(self.random.randrange(4))]

    def content(self):
        kind = self.random.random()
        if kind < 0.78:
            return self.text()
        if kind < 0.92:
            return self.parts()
        return self.pick([None, None, self.json(), self.json()])

    def message(self, role):
        made = {"role": role, "content": self.content()}
        if role == "assistant":
            if self.chance(0.3):
                made["tool_calls"] = self.pick([[self.call() for _ in range(self.random.randrange(3))], [self.call()], [self.call()], None])
            if self.chance(0.3):
                made[self.pick(["reasoning_content", "thinking", "reasoning", "tool_plan"])] = self.pick([self.text(), self.text(), None])
            if self.chance(0.1):
                made["prefix"] = self.chance(0.5)
        if role == "tool":
            if self.chance(0.7):
                made["tool_call_id"] = self.pick(["call_1", "abcdefghi", "123456789", "functions.f:0"])
            if self.chance(0.6):
                made["name"] = "get_weather"
            if self.chance(0.2):
                made["content"] = self.json()
        if self.chance(0.05):
            made.pop("content")
        return made

    def messages(self):
        made = [self.message(self.pick(["system", "system", "developer"]))] if self.chance(0.5) else []
        for _ in range(self.random.randrange(1, 5)):
            made.append(self.message("user"))
            while self.chance(0.75):
                made.append(self.message("assistant"))
                if not made[-1].get("tool_calls"):
                    break
                made += [self.message("tool") for _ in range(self.random.randrange(1, 3))]
        if self.chance(0.15):
            made.insert(self.random.randrange(len(made) + 1), self.message(self.pick(["system", "user", "assistant", "tool", "function", "ipython", "x", ""])))
        return made

    def variables(self):
        known = {"enable_thinking": lambda: self.chance(0.5), "thinking": lambda: self.chance(0.5), "reasoning_effort": lambda: self.pick(EFFORTS),
                 "date_string": lambda: self.pick(["26 Jul 2024", None]), "tools_in_user_message": lambda: self.chance(0.5), "clear_thinking": lambda: self.chance(0.5),
                 "builtin_tools": lambda: self.pick([["code_interpreter"], ["browser", "python"], []]), "model_identity": self.text, "add_vision_id": lambda: True,
                 "xml_tools": lambda: ["x", self.text()], "custom_tools": lambda: [self.tool()], "thinking_budget": lambda: self.pick([0, 512, 100, -1, None]),
                 "add_default_system_prompt": lambda: self.chance(0.5), "controls": lambda: {"length": "long"}, "safety_mode": lambda: self.pick(["strict", "none"])}
        return {name: make() for name, make in known.items() if self.chance(0.15)}

    def chat(self):
        made = {"messages": self.messages(), "add_generation_prompt": self.chance(0.5), "variables": self.variables()}
        if self.chance(0.4):
            made["tools"] = [self.tool() for _ in range(self.random.randrange(4))]
        if self.chance(0.1):
            made["documents"] = [{"title": self.text(), "text": self.text()} for _ in range(self.random.randrange(3))]
        return made


def make(count, seed):
    maker = Maker(seed)
    return [{"name": f"chat {k}"} | maker.chat() for k in range(count)]

"""Commands of shell text: a parser of bash's grammar (parse.y, POSIX XCU 2.10) that fails closed.

Whatever it does not know raises Unreadable. It is written by hand because ready parsers misread
some texts without saying so, and a misread text is a command nobody judged.
"""

import re

from firewall.commands.bash.scanner import EXCERPT, Scanner
from firewall.commands.bash.simple import REDIRECT, RESERVED, SimpleCommands
from firewall.commands.bash.syntax import (
    Chain,
    Compound,
    Function,
    HereDocument,
    Node,
    Pipeline,
    Redirect,
    Script,
    Simple,
    Text,
    Unreadable,
    Word,
)

_FUNCTION = re.compile(r"([^\s\\'\"$`|&;()<>=]+)[ \t]*\([ \t]*\)")
_NAMED_FUNCTION = re.compile(r"function[ \t]+([^\s\\'\"$`|&;()<>]+)[ \t]*(?:\([ \t]*\))?")
_COPROC = re.compile(
    r"coproc[ \t]+(?:[A-Za-z_][A-Za-z0-9_]*[ \t]+(?=[{(]|while|until|for|if|case))?"
)
_TIME = re.compile(r"time(?:[ \t]+-p)?(?:[ \t]+--)?(?=[ \t\n;&|()<>]|$)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CASE_END = re.compile(r";;&|;;|;&")
_TEST_SIGN = re.compile(r"&&|\|\||[()<>!](?![(])|[()!]")
_REGEX = re.compile(r"(?:[^\\'\"$`\s<>]|[<>](?!\())+")

_COMPOUND_START = frozenset({"if", "while", "until", "for", "select", "case", "{", "[["})


def parse(text: str, outer: Scanner | None = None) -> tuple[Script, Unreadable | None]:
    """The script of a text; where it cannot be read to its end, what came before and the error."""
    grammar = Grammar(text, outer)
    try:
        return grammar.script(), None
    except Unreadable as error:
        return Script(tuple(grammar.done)), error
    except RecursionError:
        return Script(tuple(grammar.done)), Unreadable(
            "shell text is nested too deeply", text[:EXCERPT]
        )


class Grammar(SimpleCommands):
    def __init__(self, text: str, outer: Scanner | None = None) -> None:
        super().__init__(text, outer)
        self.done: list[Node] = []

    def apart(self, text: str) -> "Grammar":
        return Grammar(text, self)

    def script(self) -> Script:
        if "\0" in self.text:
            raise self.error("a zero byte in shell text")
        script = self._list(frozenset(), self.done)
        if self.at < len(self.text):
            raise self.error("a command was expected")
        return script

    def nested(self) -> Script:
        """What `(` started, up to and past its `)`."""
        self.enter()
        pending, self.pending = self.pending, []
        script = self._list(frozenset({")"}))
        if self.pending:
            raise self.error("a here-document starts where its substitution ends")
        self.pending = pending
        if not self.take(")"):
            raise self.error("no closing parenthesis")
        self.leave()
        return script

    # Lists

    def _list(self, ends: frozenset[str], items: list[Node] | None = None) -> Script:
        """Commands up to one of `ends`, which stays, or the end of the text."""
        items = [] if items is None else items
        while not self._ended(ends):
            self.step()
            item = self._chain()
            self.blanks()
            if self.peek() == "&" and self.peek(2) != "&&":
                self.at += 1
                item = Compound("background", bodies=(Script((item,)),))
            elif self.peek() == ";" and self.peek(2) != ";;" and self.peek(2) != ";&":
                self.at += 1
            elif self.peek() not in {"", "\n", ")"} and not _CASE_END.match(self.text, self.at):
                raise self.error("the end of a command was expected")
            items.append(item)
        return Script(tuple(items))

    def _ended(self, ends: frozenset[str]) -> bool:
        self.lines()
        if not self.peek() or self.peek() in ends:
            return True
        if ";;" in ends and _CASE_END.match(self.text, self.at):
            return True
        return self.keyword() in ends

    def _expect(self, keyword: str) -> None:
        self.lines()
        if self.keyword() != keyword:
            raise self.error(f"{keyword} was expected")
        self.at += len(keyword)

    def _chain(self) -> Node:
        commands = [self._pipeline()]
        while self._operator("&&") or self._operator("||"):
            self.lines()
            commands.append(self._pipeline())
        return Chain(tuple(commands)) if len(commands) > 1 else commands[0]

    def _operator(self, operator: str) -> bool:
        self.blanks()
        start = self.at
        for char in operator:
            if not self.take(char):
                self.at = start
                return False
            self.joins()
        return True

    def _pipeline(self) -> Node:
        self.blanks()
        while self.keyword() == "!" or _TIME.match(self.text, self.at):
            if not self.match(_TIME):
                self.at += 1
            self.blanks()
            if self.peek() in {"", "\n", ";"}:
                return Simple((), (), ())
        commands = [self._command()]
        while self._bar():
            self.lines()
            commands.append(self._command())
        return Pipeline(tuple(commands)) if len(commands) > 1 else commands[0]

    def _bar(self) -> bool:
        """| or |&, but not ||."""
        start = self.at
        if self._operator("||") or not self._operator("|"):
            self.at = start
            return False
        self.take("&")
        return True

    # Commands

    def _command(self) -> Node:
        self.enter()
        node = self._any_command()
        self.leave()
        return node

    def _any_command(self) -> Node:
        self.blanks()
        keyword = self.keyword()
        if self.peek() == "(":
            return self._parentheses()
        if keyword in _COMPOUND_START:
            return self._compound(keyword)
        if keyword == "function":
            return self._function(_NAMED_FUNCTION)
        if keyword == "coproc":
            self.match(_COPROC)
            return Compound("background", bodies=(Script((self._command(),)),))
        if keyword in RESERVED:
            raise self.error(f"{keyword} was not expected")
        if _FUNCTION.match(self.text, self.at):
            return self._function(_FUNCTION)
        return self.simple()

    def _parentheses(self) -> Node:
        if self.peek(2) == "((":
            start = self.at
            self.at += 1
            if arithmetic := self.double_parenthesis():
                return Compound("arithmetic", (Word((arithmetic,)),), (), self._redirects())
            self.at = start
        self.at += 1
        return Compound("subshell", (), (self.nested(),), self._redirects())

    def _compound(self, keyword: str) -> Node:
        self.at += len(keyword)
        read = {
            "if": self._if,
            "while": self._loop,
            "until": self._loop,
            "for": self._for,
            "select": self._for,
            "case": self._case,
            "{": self._group,
            "[[": self._test,
        }[keyword]
        node = read()
        return Compound(node.kind, node.words, node.bodies, self._redirects(), node.name)

    def _function(self, pattern: re.Pattern[str]) -> Node:
        found = pattern.match(self.text, self.at)
        if not found:
            raise self.error("a function's name is missing")
        self.at = found.end()
        self.lines()
        if self.peek() != "(" and self.keyword() not in _COMPOUND_START:
            raise self.error("a function's body is missing")
        return Function(found[1], self._command())

    def _redirects(self) -> tuple[Redirect | HereDocument, ...]:
        redirects: list[Redirect | HereDocument] = []
        while True:
            self.blanks()
            if not REDIRECT.match(self.text, self.at):
                return tuple(redirects)
            redirects.append(self.redirect())

    def _group(self) -> Compound:
        body = self._list(frozenset({"}"}))
        self._expect("}")
        return Compound("group", bodies=(body,))

    def _if(self) -> Compound:
        bodies = [self._list(frozenset({"then"}))]
        self._expect("then")
        bodies.append(self._list(frozenset({"elif", "else", "fi"})))
        while self.keyword() == "elif":
            self._expect("elif")
            bodies.append(self._list(frozenset({"then"})))
            self._expect("then")
            bodies.append(self._list(frozenset({"elif", "else", "fi"})))
        if self.keyword() == "else":
            self._expect("else")
            bodies.append(self._list(frozenset({"fi"})))
        self._expect("fi")
        return Compound("if", bodies=tuple(bodies))

    def _loop(self) -> Compound:
        condition = self._list(frozenset({"do"}))
        return Compound("loop", bodies=(condition, self._do()))

    def _do(self) -> Script:
        self._expect("do")
        body = self._list(frozenset({"done"}))
        self._expect("done")
        return body

    def _for(self) -> Compound:
        self.blanks()
        if self.peek(2) == "((":
            self.at += 1
            arithmetic = self.double_parenthesis()
            if not arithmetic:
                raise self.error("the head of a for loop")
            self._semicolon()
            return Compound("loop", (Word((arithmetic,)),), (self._for_body(),))
        name = self.match(_NAME)
        if not name:
            raise self.error("the variable of a for loop is missing")
        self.lines()
        words = self._for_words() if self.keyword() == "in" else ()
        self._semicolon()
        return Compound("for", words, (self._for_body(),), name=name)

    def _for_words(self) -> tuple[Word, ...]:
        self.at += 2
        words = []
        self.blanks()
        while self.peek() not in {"", ";", "\n", "&", "|", ")"}:
            words.append(self.word())
            self.blanks()
        return tuple(words)

    def _semicolon(self) -> None:
        self.blanks()
        self.take(";")
        self.lines()

    def _for_body(self) -> Script:
        if self.keyword() == "{":
            self.at += 1
            return self._group().bodies[0]
        return self._do()

    def _case(self) -> Compound:
        self.blanks()
        words = [self.word()]
        self._expect("in")
        bodies = []
        while not self._ended(frozenset({"esac"})):
            words += self._patterns()
            bodies.append(self._list(frozenset({";;", "esac"})))
            if not self.match(_CASE_END) and self.keyword() != "esac":
                raise self.error("the end of a case was expected")
        self._expect("esac")
        return Compound("case", tuple(words), tuple(bodies))

    def _patterns(self) -> list[Word]:
        self.take("(")
        words = []
        while True:
            self.blanks()
            words.append(self.word())
            self.blanks()
            if self.take(")"):
                return words
            if not self.take("|"):
                raise self.error("the pattern of a case")

    def _test(self) -> Compound:
        """[[ ]]: every operand is a word; what =~ compares with may hold parentheses."""
        words: list[Word] = []
        while True:
            self.lines()
            if self._keyword_test_end():
                return Compound("test", tuple(words))
            if not self.peek():
                raise self.error("no closing ]]")
            if not self.match(_TEST_SIGN):
                regex = bool(words) and words[-1].bare == "=~"
                words.append(self._regex() if regex else self.word())

    def _keyword_test_end(self) -> bool:
        if self.peek(2) != "]]" or (self.peek(3)[2:] or " ") not in " \t\n;&|()<>":
            return False
        self.at += 2
        return True

    def _regex(self) -> Word:
        pieces: list[Word] = []
        while (char := self.peek()) and char not in " \t\n":
            if text := self.match(_REGEX):
                pieces.append(Word((Text(text),)))
            else:
                pieces.append(self.word())
        return Word(tuple(piece for word in pieces for piece in word.pieces))

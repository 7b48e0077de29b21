"""Commands of shell text: a parser of bash's grammar (parse.y, POSIX XCU 2.10) that fails closed.

Whatever it does not know raises Unreadable. It is written by hand because ready parsers misread
some texts without saying so, and a misread text is a command nobody judged.
"""

import re

from firewall.commands.bash.scanner import EXCERPT, Scanner
from firewall.commands.bash.syntax import (
    Assignment,
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
from firewall.commands.bash.words import Words

_BLANK_LINES = re.compile(r"(?:[ \t]|\\\n)*(?:#[^\n]*)?")
_KEYWORD = re.compile(r"(?:[a-z]+|\[\[|[!{}])(?=[ \t\n;&|()<>]|\\\n|$)")
_REDIRECT = re.compile(
    r"([0-9]+|\{[A-Za-z_][A-Za-z0-9_]*\})?(<<<|<<-|<<|<&|<>|>>|>&|>\||&>>|&>|<(?!\()|>(?!\())"
)
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?=|\[)")
_FUNCTION = re.compile(r"([^\s\\'\"$`|&;()<>=]+)[ \t]*\([ \t]*\)")
_NAMED_FUNCTION = re.compile(r"function[ \t]+([^\s\\'\"$`|&;()<>]+)[ \t]*(?:\([ \t]*\))?")
_COPROC = re.compile(
    r"coproc[ \t]+(?:[A-Za-z_][A-Za-z0-9_]*[ \t]+(?=[{(]|while|until|for|if|case))?"
)
_TIME = re.compile(r"time(?:[ \t]+-p)?(?:[ \t]+--)?(?=[ \t\n;&|()<>]|$)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CASE_END = re.compile(r";;&|;;|;&")
_TEST_SIGN = re.compile(r"&&|\|\||[()<>!](?![(])|[()!]")
_REGEX = re.compile(r"[^\\'\"$`\s]+")

_ENDERS = frozenset({"then", "else", "elif", "fi", "do", "done", "esac", "}"})
_RESERVED = _ENDERS | {
    "if",
    "while",
    "until",
    "for",
    "select",
    "case",
    "function",
    "{",
    "[[",
    "!",
    "coproc",
}
_DECLARES = frozenset({"declare", "typeset", "local", "export", "readonly"})
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


class Grammar(Words):
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
        self._lines()
        if not self.peek() or self.peek() in ends:
            return True
        if ";;" in ends and _CASE_END.match(self.text, self.at):
            return True
        return self._keyword() in ends

    def _lines(self) -> None:
        """Blank lines and comments; the bodies of here-documents start where a line ends."""
        while True:
            self.match(_BLANK_LINES)
            if not self.take("\n"):
                return
            self.step()
            for document in self.pending:
                self._body(document)
            self.pending = []

    def _keyword(self) -> str:
        found = _KEYWORD.match(self.text, self.at)
        return found[0] if found else ""

    def _expect(self, keyword: str) -> None:
        self._lines()
        if self._keyword() != keyword:
            raise self.error(f"{keyword} was expected")
        self.at += len(keyword)

    def _chain(self) -> Node:
        commands = [self._pipeline()]
        while self._operator("&&") or self._operator("||"):
            self._lines()
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
        while self._keyword() == "!" or _TIME.match(self.text, self.at):
            if not self.match(_TIME):
                self.at += 1
            self.blanks()
            if self.peek() in {"", "\n", ";"}:
                return Simple((), (), ())
        commands = [self._command()]
        while self.blanks() or (self.peek() == "|" and not self._or()):
            self.at += 1
            self.joins()
            self.take("&")
            self._lines()
            commands.append(self._command())
        return Pipeline(tuple(commands)) if len(commands) > 1 else commands[0]

    def _or(self) -> bool:
        start = self.at
        found = self._operator("||")
        self.at = start
        return found

    # Commands

    def _command(self) -> Node:
        self.enter()
        node = self._any_command()
        self.leave()
        return node

    def _any_command(self) -> Node:
        self.blanks()
        keyword = self._keyword()
        if self.peek() == "(":
            return self._parentheses()
        if keyword in _COMPOUND_START:
            return self._compound(keyword)
        if keyword == "function":
            return self._function(_NAMED_FUNCTION)
        if keyword == "coproc":
            self.match(_COPROC)
            return Compound("background", bodies=(Script((self._command(),)),))
        if keyword in _RESERVED:
            raise self.error(f"{keyword} was not expected")
        if _FUNCTION.match(self.text, self.at):
            return self._function(_FUNCTION)
        return self._simple()

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
            "if": self._if, "while": self._loop, "until": self._loop, "for": self._for,
            "select": self._for, "case": self._case, "{": self._group, "[[": self._test,
        }[keyword]  # fmt: skip
        node = read()
        return Compound(node.kind, node.words, node.bodies, self._redirects(), node.name)

    def _function(self, pattern: re.Pattern[str]) -> Node:
        found = pattern.match(self.text, self.at)
        if not found:
            raise self.error("a function's name is missing")
        self.at = found.end()
        self._lines()
        if self.peek() != "(" and self._keyword() not in _COMPOUND_START:
            raise self.error("a function's body is missing")
        return Function(found[1], self._command())

    def _redirects(self) -> tuple[Redirect | HereDocument, ...]:
        redirects = []
        while True:
            self.blanks()
            if not _REDIRECT.match(self.text, self.at):
                return tuple(redirects)
            redirects.append(self._redirect())

    def _group(self) -> Compound:
        body = self._list(frozenset({"}"}))
        self._expect("}")
        return Compound("group", bodies=(body,))

    def _if(self) -> Compound:
        bodies = [self._list(frozenset({"then"}))]
        self._expect("then")
        bodies.append(self._list(frozenset({"elif", "else", "fi"})))
        while self._keyword() == "elif":
            self._expect("elif")
            bodies.append(self._list(frozenset({"then"})))
            self._expect("then")
            bodies.append(self._list(frozenset({"elif", "else", "fi"})))
        if self._keyword() == "else":
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
        self._lines()
        words = self._for_words() if self._keyword() == "in" else ()
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
        self._lines()

    def _for_body(self) -> Script:
        if self._keyword() == "{":
            self.at += 1
            return self._group().bodies[0]
        return self._do()

    def _case(self) -> Compound:
        self.blanks()
        words = [self.word()]
        self._expect("in")
        bodies = []
        while self._lines() or self._keyword() != "esac":
            words += self._patterns()
            bodies.append(self._list(frozenset({";;", "esac"})))
            if not self.match(_CASE_END) and self._keyword() != "esac":
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
            self._lines()
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

    # Simple commands

    def _simple(self) -> Simple:
        start = self.at
        assignments: list[Assignment] = []
        words: list[Word] = []
        redirects: list[Redirect | HereDocument] = []
        while not self._simple_ends():
            self.step()
            if _REDIRECT.match(self.text, self.at):
                redirects.append(self._redirect())
            elif assignment := self._assignment(words):
                assignments.append(assignment)
            else:
                words.append(self.word())
        if self.at == start or not (assignments or words or redirects):
            raise self.error("a command is missing")
        if words and words[0].bare in _RESERVED and not assignments and not redirects:
            raise self.error("a reserved word written over two lines")
        return Simple(
            tuple(assignments), tuple(words), tuple(redirects), self.text[start : start + EXCERPT]
        )

    def _simple_ends(self) -> bool:
        self.blanks()
        char = self.peek()
        if char == "&":
            return self.peek(2) != "&>"
        return char in {"", "\n", ";", "|", "(", ")"}

    def _assignment(self, words: list[Word]) -> Assignment | None:
        if words and words[0].bare not in _DECLARES:
            return None
        found = _ASSIGNMENT.match(self.text, self.at)
        if not found:
            return None
        start, self.at, subscript, plain = self.at, found.end(), None, found[2] == "="
        if found[2] == "[":
            subscript = self.arithmetic("]")
            if not (self.take("=") or self.take("+=")):
                self.at = start
                return None
        return Assignment(found[1], self._value(), plain, subscript)

    def _value(self) -> tuple[Word, ...]:
        if self.take("("):
            return self._array()
        if self.peek() in {"", " ", "\t", "\n", ";", "&", "|", ")"} or self.peek(2) == "\\\n":
            return (Word((Text("", quoted=True),)),)
        return (self.word(),)

    def _array(self) -> tuple[Word, ...]:
        words = []
        while self._lines() or not self.take(")"):
            words.append(self.word())
        return tuple(words)

    # Redirections

    def _redirect(self) -> Redirect | HereDocument:
        found = _REDIRECT.match(self.text, self.at)
        if not found:
            raise self.error("a redirection is missing")
        self.at = found.end()
        descriptor, operator = found[1] or "", found[2]
        if self.peek(2) == "\\\n" and operator in {"<", ">", "<<"}:
            raise self.error("a line is joined inside a redirection")
        self.match(re.compile(r"(?:[ \t]|\\\n)*"))
        if self.peek() in {"", "\n", ">", "<", "|", "&", ";", ")"} and self.peek(2) not in {
            "<(",
            ">(",
        }:
            raise Unreadable("a redirection without a file", self.text[:EXCERPT], rejected=True)
        if operator in {"<<", "<<-"}:
            return self._here_document(operator == "<<-", descriptor)
        return Redirect(operator, self.word(), descriptor)

    def _here_document(self, tabs: bool, descriptor: str) -> HereDocument:
        word = self.word()
        if not all(isinstance(piece, Text) for piece in word.pieces):
            raise self.error("the end of a here-document is not literal")
        texts = [piece for piece in word.pieces if isinstance(piece, Text)]
        delimiter = "".join(piece.text for piece in texts)
        quoted = any(piece.quoted for piece in texts)
        document = HereDocument(delimiter, quoted, tabs, descriptor)
        self.pending.append(document)
        return document

    def _body(self, document: HereDocument) -> None:
        """Lines up to the delimiter. Unquoted, a backslash joins lines before they are compared."""
        lines: list[str] = []
        while self.at < len(self.text):
            self.step()
            line = self._line(document)
            if line == document.delimiter:
                break
            lines.append(line + "\n")
        body = "".join(lines)
        if document.quoted:
            document.body = Word((Text(body, quoted=True),))
        else:
            self.enter()
            document.body = self.apart(body).body()
            self.leave()

    def _line(self, document: HereDocument) -> str:
        end = self.text.find("\n", self.at)
        end = len(self.text) if end < 0 else end
        line = self.text[self.at : end]
        self.at = end + 1
        if document.tabs:
            line = line.lstrip("\t")
        joins = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        if joins and not document.quoted and self.at < len(self.text):
            return line[:-1] + self._line(document)
        return line

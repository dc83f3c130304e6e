"""One clause of a recall notice, walked from left to right: labels, dates, codes, and what is not understood."""

from __future__ import annotations

import re
from datetime import date

from services.imports import dates, gtin
from services.imports.notice import Codes, DateRange, Found, Unread
from services.imports.notice_words import (
    ALL,
    AMOUNT,
    AND,
    BRACKETED_AMOUNT,
    DATED,
    ENDS_CODE,
    FILLER,
    FROM,
    GAP,
    JOIN,
    LABELS,
    MAX_WORDS,
    NOT_ALL,
    NOT_LOTS,
    OTHER_DATES,
    TURNS,
    WORD,
    WORD_RANGE,
    Label,
    lot_fault,
    pattern,
)
from services.imports.plan import shown

NOT_UNDERSTOOD = "is not understood"
_SIGNS = re.compile(r"[^\s()]{1,200}")
_BLANK = re.compile(r"[ \t\xa0]{1,3}")
_UP_TO_MARK = pattern(r"[^,;()]{0,120}")


class Clause:
    """Walks one clause; keeps what it read apart until it knows that no word turns the meaning of the whole."""

    def __init__(
        self,
        text: str,
        order: dates.Order,
        products: tuple[str, ...],
        carried: tuple[Label, bool] | None,
        codes: Codes,
    ) -> None:
        self.text = text
        self.order = order
        self.products = products
        self.codes = codes
        self.state = carried
        self.opening: tuple[Label, bool] | None = None
        self.place = 0
        self.open: list[tuple[Label, bool] | None] = []
        self.lots: list[str] = []
        self.ranges: list[tuple[date, date, str]] = []
        self.gtins: list[str] = []
        self.unread: list[Unread] = []
        self.loose: list[str] = []
        self.turned = ""
        self.labelled = False  # whether the clause begins with a label of its own
        self.taken = False  # whether something was read under the label that stands

    def read(self) -> tuple[Label, bool] | None:
        """Reads the clause into the codes; gives what a following clause without a label of its own goes on with."""
        carried = self.state
        whole = " ".join(self.text.split(maxsplit=40)).strip(" .,:")
        if len(whole) <= 200 and ALL.fullmatch(whole):
            self.codes.all_lots.append(Found(whole, shown(self.text), self.products))
            return None
        while self.place < len(self.text):
            self._step()
        self._flush()
        self._keep()
        return self.opening or carried

    def _keep(self) -> None:
        if self.turned:
            self.codes.unread.append(Unread(shown(self.text), f"'{self.turned}' changes what the codes and dates mean"))
            return
        fragment = shown(self.text)
        if self.opening is None and fragment.strip(" .,:()"):
            if self.unread:
                self.codes.unread.append(Unread(fragment, "no word says what these are"))
            return
        if not self.labelled and any(left.reason == NOT_UNDERSTOOD for left in self.unread):
            self.codes.unread.append(Unread(fragment, "goes on after a list, with words that are not understood"))
            return
        self.codes.lots += [Found(lot, fragment, self.products) for lot in dict.fromkeys(self.lots)]
        self.codes.gtins += [Found(number, fragment, self.products) for number in dict.fromkeys(self.gtins)]
        named = tuple(dict.fromkeys(self.lots))
        for first, last, kind in dict.fromkeys(self.ranges):
            self.codes.dates.append(Found(DateRange(first, last, kind, named), fragment, self.products))
        self.codes.unread += self.unread

    def _step(self) -> None:
        """Takes the next thing in the clause. Each branch moves `place` forward."""
        text, place = self.text, self.place
        if gap := GAP.match(text, place):
            self.place = gap.end()
        elif amount := BRACKETED_AMOUNT.match(text, place):
            self.place = amount.end()
        elif text[place] == "(":
            self.open.append(self.state)
            self.place += 1
        elif text[place] == ")":
            self.state = self.open.pop() if self.open else self.state
            self.place += 1
        elif not (self._limits() or self._label() or self._dated() or self._coded()):
            self._word()

    def _limits(self) -> bool:
        """`including but not limited to`: what went before names more than the list that follows."""
        found = NOT_ALL.match(self.text, self.place)
        if found:
            self.loose.clear()
            self.unread = [Unread(shown(self.text), "the list that follows does not name everything")]
            self.place = found.end()
        return found is not None

    def _label(self) -> bool:
        if self.place and self.text[self.place - 1].isalnum():
            return False
        for label, words in LABELS:
            found = words.match(self.text, self.place)
            if found is None:
                continue
            if label is Label.LOT and self.loose and self.loose[-1].lower() in NOT_LOTS:
                return False  # "all lots made in May", "product code 11": what follows is no lot's number
            single = not re.search(r"s\b", found.group(), re.IGNORECASE)
            self._flush()
            self.taken = False
            self.labelled = self.labelled or self.opening is None
            self.state = (label, single)
            self.opening = self.opening or self.state
            self.place = found.end()
            return True
        return False

    def _opened(self) -> None:
        """Something was read under the label that stands."""
        self.opening = self.opening or self.state
        self.taken = True

    # -- dates

    def _dated(self) -> bool:
        """A date or a range of dates, under whatever label stands; without one it is left to a person."""
        if self.state is not None and self.state[0] in (Label.GTIN, Label.NDC):
            return False
        start = self.place
        between = FROM.match(self.text, start)
        first = dates.at(self.text, between.end() if between else start, self.order)
        if first is None:
            return False
        written = self.text[start : first.end]
        unlabelled = self.state is None or self.state[0] is Label.LOT
        if unlabelled and first.day is None and re.fullmatch(r"[\d.-]+", written):
            return False  # 20140207 and 24-1203 after LOT are lots' numbers
        join = JOIN.match(self.text, first.end)
        if between and between["word"].lower() == "between":
            join = AND.match(self.text, first.end) or join
        last = dates.at(self.text, join.end(), self.order) if join else None
        self.place = (last or first).end
        self._take_dates(start, first, last or first, whole=not between or last is not None)
        return True

    def _take_dates(self, start: int, first: dates.DateReading, last: dates.DateReading, *, whole: bool) -> None:
        self._flush()
        self._opened()
        label = self.state[0] if self.state else None
        if label in OTHER_DATES and label is not None:
            reason = label.value
        elif label not in DATED or label is None:
            reason = "nothing says what kind of date it is"
        elif first.day is None or last.day is None:
            reason = first.reason or last.reason
        elif not whole:
            reason = "a range of dates without an end"
        elif last.day < first.day:
            reason = "the range ends before it begins"
        else:
            self.ranges.append((first.day, last.day, label.value))
            return
        self._leave(start, self.place, reason)

    # -- codes

    def _coded(self) -> bool:
        """What a label announces: the code of a lot, a GTIN, a drug's code."""
        if self.state is None:
            return False
        label, single = self.state
        match label:
            case Label.GTIN:
                reading = gtin.at(self.text, self.place)
                if reading is None:
                    return False
                if reading.gtin is not None:
                    self.gtins.append(reading.gtin)
                else:
                    self._leave(self.place, reading.end, reading.reason)
                self.place = reading.end
                return True
            case Label.NDC:
                return self._drug_code()
            case Label.LOT:
                return self._lot(single=single)
            case _:
                return False

    def _drug_code(self) -> bool:
        found = WORD.match(self.text, self.place)
        if found is None or not re.search(r"\d", found.group()):
            return False
        self._leave(self.place, found.end(), Label.NDC.value)
        self.place = found.end()
        return True

    def _lot(self, *, single: bool) -> bool:
        """A code, or several words that may be one; a range of codes is never filled in."""
        if between := FROM.match(self.text, self.place):
            return self._lot_range(between.end())
        words, end = self._run()
        if not words:
            return False
        if WORD_RANGE.match(self.text, end):
            return self._lot_range(end)
        self._opened()
        start, self.place = self.place, end
        reason = lot_fault(words, single=single)
        if self.text[end : end + 1] == ")" and not self.open:
            reason = reason or "a bracket follows without its opening; perhaps a list number has run into it"
        elif not ENDS_CODE.match(self.text, end) and self.text[end] != "/":
            reason = reason or "a sign follows that may belong to it"
            signs = _SIGNS.match(self.text, end)
            self.place = end = signs.end() if signs else end
        if reason:
            self._leave(start, end, reason)
        else:
            self.lots.append(" ".join(words))
        return True

    def _run(self) -> tuple[list[str], int]:
        """The words from here that may be a lot's number: in capitals or digits, until a label or a mark."""
        words: list[str] = []
        end = place = self.place
        while len(words) <= MAX_WORDS and (found := WORD.match(self.text, place)):
            word = found.group().rstrip("./-_#")
            if not word or self._ends_run(place, word, words):
                break
            words.append(word)
            end = place + len(word)
            if end < found.end():
                break
            gap = _BLANK.match(self.text, end)
            if gap is None:
                break
            place = gap.end()
        if not any(character.isdigit() for word in words for character in word):
            return [], self.place
        return words, end

    def _ends_run(self, place: int, word: str, before: list[str]) -> bool:
        if (
            word.lower() in FILLER
            or word.lower() in TURNS
            or word.lower() in ("to", "through", "thru", "exp", "between")
        ):
            return True
        if AMOUNT.match(self.text, place) or any(words.match(self.text, place) for _, words in LABELS):
            return True
        if before and not word.isdigit() and dates.at(self.text, place, self.order) is not None:
            return True
        return not re.search(r"\d", word) and word != word.upper()

    def _lot_range(self, start: int) -> bool:
        """Leaves `A through B` to a person: which codes lie between is not for us to make up."""
        found = _UP_TO_MARK.match(self.text, start)
        end = found.end() if found else start
        for _, words in LABELS:
            if label := words.search(self.text, start, end):
                end = label.start()
        end = max(end, self.place + 1)
        self._leave(self.place, end, "a range of codes; which lie in it is not known")
        self._opened()
        self.place = end
        return True

    # -- the rest

    def _word(self) -> None:
        """A word that nothing announced: it is kept among the loose ones, and may turn the whole clause.

        It also ends what the label announced: of `lot 12 printed on 2 sides` the 2 is no lot.
        """
        found = WORD.match(self.text, self.place) or _SIGNS.match(self.text, self.place)
        if found is None:
            self.place += 1
            return
        word = found.group().rstrip("./-_#*") or found.group()
        if word.lower() in TURNS and not self.turned:
            self.turned = word
        lot = self.state is not None and self.state[0] is Label.LOT
        if word.lower() not in ("and", "or") and (self.taken or (lot and word.lower() not in FILLER)):
            self.state = None
        self.loose.append(word)
        self.place += len(word)

    def _flush(self) -> None:
        """Loose words become one fragment for a person, unless they are mere fillers."""
        words, self.loose = self.loose, []
        if any(word.lower() not in FILLER for word in words):
            self.unread.append(Unread(shown(" ".join(words)), NOT_UNDERSTOOD))

    def _leave(self, start: int, end: int, reason: str) -> None:
        """Leaves a stretch to a person, shown with the words before it so that it is found in the notice."""
        begin = max(0, start - 40)
        if begin:
            begin = self.text.find(" ", begin, start) + 1 or start
        self.unread.append(Unread(shown(self.text[begin:end]), reason))

"""Derived keys: what a value sounds like, a company without its legal form, a domain that is somebody's own."""

import re
from functools import lru_cache

import jellyfish

from matching.columns import fold

# Legal forms as companies write them, folded; several words are matched first.
_LEGAL = (
    "gmbh and co kg", "gmbh co kg", "ag and co kg", "limited liability company", "limited liability partnership", "public limited company",
    "s p a", "s r l", "s a r l", "s a s", "s a", "b v", "n v", "a s", "sp z o o", "pty ltd", "pvt ltd", "private limited", "co ltd",
    "incorporated", "inc", "corporation", "corp", "company", "co", "limited", "ltd", "llc", "llp", "lp", "plc", "gmbh", "mbh", "ag", "kg", "ug", "ohg",
    "ev", "eg", "se", "sa", "sas", "sarl", "eurl", "spa", "srl", "sl", "slu", "bv", "nv", "oy", "oyj", "ab", "as", "asa", "aps", "kft", "zrt", "doo",
    "sro", "pty", "pte", "pvt", "kk", "ooo", "holding", "holdings", "group",
)  # fmt: skip
_ENDING = re.compile(r"(?: (?:" + "|".join(re.escape(form) for form in sorted(_LEGAL, key=len, reverse=True)) + r"))+$")
# Mail providers whose domain says nothing about who writes.
FREE_MAIL = frozenset(
    """gmail.com googlemail.com yahoo.com yahoo.co.uk yahoo.fr yahoo.de yahoo.co.in ymail.com hotmail.com hotmail.co.uk hotmail.fr hotmail.de
    outlook.com outlook.de outlook.fr live.com live.co.uk msn.com aol.com icloud.com me.com mac.com gmx.de gmx.net gmx.com gmx.at gmx.ch web.de
    t-online.de freenet.de mail.com mail.ru yandex.ru yandex.com proton.me protonmail.com pm.me zoho.com fastmail.com hey.com tutanota.com orange.fr
    wanadoo.fr free.fr laposte.net sfr.fr libero.it virgilio.it tiscali.it comcast.net verizon.net att.net sbcglobal.net bellsouth.net cox.net
    btinternet.com sky.com virginmedia.com ntlworld.com bigpond.com optusnet.com.au telstra.com rediffmail.com qq.com 163.com 126.com sina.com
    naver.com daum.net hanmail.net rogers.com shaw.ca sympatico.ca telus.net seznam.cz wp.pl onet.pl o2.pl interia.pl""".split()
)


@lru_cache(maxsize=200_000)
def phonetic(word: str) -> str:
    """How a folded word sounds (Metaphone: its consonants); the word itself where it is written in other letters."""
    letters = "".join(letter for letter in word if letter.isascii() and letter.isalpha())
    return jellyfish.metaphone(letters) if letters else word if word.isalpha() else ""


def phonetic_words(folded: str) -> str:
    """The sounds of all words, whatever their order."""
    return " ".join(sorted(filter(None, map(phonetic, folded.split()))))


@lru_cache(maxsize=200_000)
def company_key(company: str) -> str:
    """The company's name folded, without its legal form: "ACME Robotics GmbH & Co. KG" is "acme robotics"."""
    folded = fold(company.replace("&", " and ")).removeprefix("the ")
    return _ENDING.sub("", folded) or folded


def own_domain(text: str) -> str:
    """The domain of an address or a website, unless it is a mail provider's."""
    domain = text.strip().lower().rpartition("@")[2].rpartition("://")[2].split("/", 1)[0].split(":", 1)[0].removeprefix("www.")
    return "" if domain in FREE_MAIL or "." not in domain else domain

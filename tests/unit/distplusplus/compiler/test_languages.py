"""Languages have the numbers and names of the protocol, which they do not import."""

from __future__ import annotations

from distplusplus.compiler.languages import PREPROCESSED_ENDING_OF, PREPROCESSED_OPTION_OF, X_OPTIONS, Language
from distplusplus.protocol import distplusplus_pb2 as pb


def test_languages_are_those_of_the_protocol() -> None:
    assert {language.name: int(language) for language in Language} == dict(pb.Language.items())


def test_each_language_has_a_preprocessed_form() -> None:
    for language in Language:
        if language != Language.UNKNOWN_LANGUAGE:
            assert X_OPTIONS[PREPROCESSED_OPTION_OF[language]] == language
    assert set(PREPROCESSED_ENDING_OF) == set(Language) - {Language.UNKNOWN_LANGUAGE, Language.ASSEMBLER}

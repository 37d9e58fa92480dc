"""PixelMed's DicomSRValidator for many files: ``python -m tests.support.pixelmed``.

Reads a file name a line, answers with its findings as a line of JSON. A virtual machine that lives
on has compiled the validator's templates after the first files: the next ones take a third of the
time of a machine each.
"""

from __future__ import annotations

import json
import sys

import jpype

_CLASSES = "/usr/share/java/pixelmed.jar"  # where Debian's pixelmed-java puts it
_FLAGS = (
    "-XX:+UseSerialGC",  # the threads of a parallel collector would take the other worker's core
    "-Djava.awt.headless=true",
    "-Djdk.xml.xpathExprOpLimit=0",  # limits of the library that a long report passes
    "-Djdk.xml.xpathTotalOpLimit=0",
    "-Djdk.xml.xpathExprGrpLimit=0",
)


def main() -> None:
    """Answer until the input ends; what Java throws is an answer too."""
    jpype.startJVM(*_FLAGS, classpath=[_CLASSES])
    lists = jpype.JClass("com.pixelmed.dicom.AttributeList")
    validator = jpype.JClass("com.pixelmed.validate.DicomSRValidator")()
    for line in sys.stdin:
        try:
            attributes = lists()
            attributes.read(line.rstrip("\n"))
            told = str(validator.validate(attributes))
        except jpype.JException as error:
            told = f"Error: {error}"
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

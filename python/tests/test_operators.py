"""What the package knows of the operators is what the program says of them."""

import json
import subprocess

from plummet import binary, operators


def test_the_operators_are_those_of_the_program():
    # To write them anew: plummet gate ops --json, an operator a line.
    command = [binary.path(), "gate", "ops", "--json"]
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert list(operators.specification().values()) == said

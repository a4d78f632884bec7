"""The links between the machines, protected as docs/FLEET.md says. The tests after these run over TLS."""

import pytest

from links import Links


@pytest.fixture(scope="module")
def links(fleet, folder):
    return Links(fleet, folder)


def test_the_documented_lines_protect_every_machine(fleet, links):
    for machine in fleet.machines:
        links.protect_machine(machine)


def test_the_documented_lines_lead_the_public_machine_to_them(links):
    links.protect_public()


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_machine_lets_in_the_public_machine_alone(fleet, links, number):
    machine, other = fleet.machines[number], fleet.machines[(number + 1) % 3]
    assert links.status(machine) == 400, "lets in a client without a certificate"
    assert links.status(machine, certificate_of=other.name) == 403, "lets in another machine"
    assert fleet.public.curl(f"http://{machine.address}:8080/busy").exit != 0, "responses without TLS"

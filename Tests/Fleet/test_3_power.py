"""Machines that lose their power: no request is executed again once its response has begun."""

from load import Load, fate, send
from Support.machine import wait_for


def test_a_machine_loses_its_power_under_load(fleet, capsys):
    m1 = fleet.machines[0]
    load = Load(fleet, "load", count=120, parallel=40, tokens=20)

    def is_at_work():
        """Some requests have a begun response, and some have none."""
        events = [event for event, _, request in m1.engine_events() if request.startswith("load")]
        responded = events.count("responded")
        return responded >= 3 and events.count("begun") - responded >= 3

    wait_for(is_at_work, says="m1 is at work", interval=0.02)
    # First the wire, so that no process can say goodbye.
    fleet.public.run("ip", "link", "set", "m1", "down")
    m1.lose_power()
    fates = {"served": 0, "broken off": 0}
    moved = 0
    for request, response in load.responses().items():
        what, machines = fate(response), fleet.executed(request)
        assert what in fates, request
        fates[what] += 1
        if what == "broken off":
            # No other machine got a request after its response had begun.
            assert machines == ["m1"], request
            continue
        assert fleet.writers(request, response) == machines[-1:], request
        if len(machines) == 2:
            # Only for m1 that was lost before it responded.
            assert machines[0] == "m1" and machines[1] != "m1", request
            moved += 1
        else:
            assert len(machines) == 1, request
    with capsys.disabled():
        print(f"\n{fates['served']} served, {moved} of them by a second machine after the first was lost; "
              f"{fates['broken off']} broken off after they had begun")
    assert fates["broken off"] > 0 and moved > 0, "the machine was lost too early or too late to show anything"


def test_the_machine_stays_away(fleet):
    for request, response in Load(fleet, "after", count=20, parallel=10).responses().items():
        assert fate(response) == "served", request


def test_a_client_is_refused_when_no_machine_is_left(fleet):
    for machine in fleet.machines[1:]:
        machine.lose_power()
    response = send(fleet, "none")
    assert response.status == 503
    assert '"code":"fleet_unavailable"' in response.text

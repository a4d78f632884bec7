"""Busy machines: each request goes to a machine that is free, and is refused when none is."""

from load import Load, fate, send


def test_two_busy_machines_leave_everything_to_the_third(fleet):
    m1, m2, _ = fleet.machines
    m1.set_utilization(90)
    m2.set_utilization(21)
    m1.wait_until_busy(True)
    m2.wait_until_busy(True)
    for request, response in Load(fleet, "busy", count=60, parallel=12).responses().items():
        assert fate(response) == "served", request
        assert fleet.executed(request) == ["m3"], request
    # Otherwise nginx never asked the other two, and this test has shown nothing.
    assert '"machine_statuses":"503' in fleet.public.access_log


def test_a_client_is_refused_when_all_machines_are_busy(fleet):
    m3 = fleet.machines[2]
    m3.set_utilization(90)
    m3.wait_until_busy(True)
    response = send(fleet, "refused", options=["--include"])
    assert response.status == 503
    assert "\nRetry-After:" in response.text
    # The last machine's own code, or nginx's when all have been asked with tries left.
    assert '"code":"gpu_busy"' in response.text or '"code":"fleet_unavailable"' in response.text


def test_a_request_is_served_as_soon_as_a_gpu_is_free(fleet):
    """However recently its machine has refused."""
    m2 = fleet.machines[1]
    m2.set_utilization(0)
    m2.wait_until_busy(False)
    assert fate(send(fleet, "free")) == "served"


def test_all_machines_become_free(fleet):
    for machine in fleet.machines:
        machine.set_utilization(0)
    for machine in fleet.machines:
        machine.wait_until_busy(False)

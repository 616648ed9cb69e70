"""What may go wrong, what must hold then, and what provokes it."""

from typing import NamedTuple


class Risk(NamedTuple):
    """One thing that may go wrong."""

    name: str
    promise: str
    tests: tuple[str, ...] = ()
    """Tests that provoke it outside the campaign, each `path::name`."""


_FLOWS = "tests/flows"
_INTEGRATION = "tests/integration"

RISKS: dict[str, Risk] = {
    "R1": Risk(
        "nothing fails; members come and go in order",
        "nothing lost, nothing twice",
        (f"{_INTEGRATION}/test_service_restarts.py::"
         "test_two_share_a_group_and_one_takes_over_when_the_other_leaves",),
    ),
    "R2": Risk("a process is killed", "nothing lost, goes on within session time-out + 10 s"),
    "R3": Risk(
        "a process that was frozen comes back and does not know",
        "no offset goes back; what it writes late is refused, or repeated with equal bytes",
        (f"{_INTEGRATION}/test_service_exactly_once.py::"
         "test_who_wakes_up_after_its_partitions_moved_writes_nothing",),
    ),
    "R4": Risk("an event loop stands still", "goes on, and tells how long it stood"),
    "R5": Risk("SIGTERM under load", "exit code 0 in time, nothing twice"),
    "R6": Risk(
        "SIGTERM while no broker is there",
        "ends in time, and says what is left",
        (f"{_INTEGRATION}/test_service_outages.py::"
         "test_it_ends_in_time_and_says_so_when_something_cannot_be_finished",),
    ),
    "R7": Risk("a broker crashes and comes back", "nothing lost, goes on within 20 s"),
    "R8": Risk("leaders of partitions move", "nothing lost, nothing out of order"),
    "R9": Risk(
        "the coordinator of the group or of transactions crashes",
        "nothing lost, no transaction hangs",
    ),
    "R10": Risk(
        "nothing is acknowledged for minutes",
        "waits instead of ending, memory stays, goes on by itself",
    ),
    "R11": Risk(
        "a network that is slow or narrow",
        "costs time and nothing else: no rebalance, ready",
        (f"{_INTEGRATION}/test_kafka_faults.py::"
         "test_a_broker_that_takes_two_seconds_for_an_answer_is_slow_and_not_away",),
    ),
    "R12": Risk("a network that is cut, silent, or breaks amid a request", "nothing lost"),
    "R13": Risk(
        "a write is answered with an error",
        "repeated, split, or written by a new producer; never silently lost",
        (f"{_INTEGRATION}/test_kafka_faults.py::"
         "test_any_doubt_stops_the_sink_until_it_is_started_again",),
    ),
    "R14": Risk(
        "the group answers with an error",
        "partitions are recovered, or the process ends",
        (f"{_INTEGRATION}/test_kafka_faults.py::"
         "test_any_other_commit_error_leaves_the_commit_in_doubt",),
    ),
    "R15": Risk(
        "a group that rebalances without end",
        "goes on when it is calm; series of partitions that left are gone",
    ),
    "R16": Risk(
        "a restore that takes long, or is killed",
        "not ready meanwhile, not put out of the group, each event counted once",
        (f"{_FLOWS}/test_state.py::"
         "test_while_state_is_restored_nothing_is_read_and_readiness_says_so",),
    ),
    "R17": Risk(
        "two processes have one `kafka.instance_id`",
        "the younger ends with exit code 1, nothing lost, windows exact",
        (f"{_INTEGRATION}/test_service_twins.py::test_of_two_with_one_name_the_younger_ends",),
    ),
    "R18": Risk(
        "records that must not be decided",
        "each a dead letter with its bytes and its code; the others are decided",
        (f"{_INTEGRATION}/test_service_refusals.py::"
         "test_each_kind_of_bad_record_becomes_a_dead_letter_and_its_neighbours_are_decided",),
    ),
    "R19": Risk(
        "batches that are damaged on the broker's disk",
        "each record of it a dead letter without its bytes; the partition goes on",
        (f"{_INTEGRATION}/test_kafka_source.py::"
         "test_a_damaged_batch_becomes_unreadable_records_and_costs_no_neighbour",),
    ),
    "R20": Risk(
        "the topic of dead letters is gone", "nothing is skipped, not ready, goes on by itself"
    ),
    "R21": Risk(
        "the topic of decisions is gone, takes less, or may not be written any more",
        "nothing is skipped; says why; goes on when it is mended",
        (f"{_INTEGRATION}/test_service_security.py::"
         "test_a_right_that_is_taken_away_is_the_reason_until_it_is_given_back",),
    ),
    "R22": Risk(
        "sequence numbers of a producer run out after 2³¹ records",
        "it is replaced before",
        (f"{_INTEGRATION}/test_kafka_sink.py::"
         "test_a_producer_is_replaced_before_its_sequence_numbers_run_out",
         f"{_INTEGRATION}/test_kafka_transactions.py::"
         "test_a_producer_is_replaced_before_its_sequence_numbers_run_out"),
    ),
    "R23": Risk("a transaction outlasts its time", "nothing of it is seen, all is done again"),
    "R24": Risk(
        "a model that raises, hangs, is slow, or answers in another shape",
        "every event has a decision in time",
        (f"{_FLOWS}/test_outcomes.py::test_one_poisonous_row_takes_only_its_half_down",
         f"{_FLOWS}/test_outcomes.py::test_a_model_that_hangs_is_not_asked_twice",
         f"{_FLOWS}/test_outcomes.py::test_the_circuit_opens_and_heals",
         "tests/unit/adapters/test_onnx_scorer.py::"
         "test_a_graph_of_another_signature_is_refused_with_all_that_differs"),
    ),
    "R25": Risk(
        "clocks that are an hour off",
        "nothing lost; windows go by event time, everything else by elapsed time",
        ("tests/unit/monitors/test_windows.py::"
         "test_an_event_before_the_longest_window_is_late_however_large_lateness_is",),
    ),
    "R26": Risk(
        "a record of the state topic is damaged",
        "says so, counts anew, no crash",
        (f"{_FLOWS}/test_state.py::test_a_damaged_record_begins_empty_and_says_so",),
    ),
    "R27": Risk(
        "what is counted changes: other settings, more partitions, a topic made anew",
        "counts anew and says so; new partitions are found",
        (f"{_FLOWS}/test_state.py::test_another_config_begins_empty_and_says_so",
         f"{_FLOWS}/test_state.py::test_a_topic_that_was_made_anew_begins_empty"),
    ),
    "R28": Risk(
        "offsets or records are deleted, or moved by hand",
        "goes on where it may, says what is missing, counts nothing twice",
        (f"{_FLOWS}/test_state.py::"
         "test_offsets_that_were_moved_ahead_leave_a_gap_that_is_counted",),
    ),
    "R32": Risk(
        "metrics that do not say what happened",
        "every counter agrees with what stands on the topics, after every fault",
        ("tests/laws/test_delivery_laws.py::"
         "test_every_record_gets_its_outcome_whatever_happens",),
    ),
}  # fmt: skip
"""By the name that the faults of the campaign give it."""

# Makes the benchmark's table from its results, lines of "measure contender value", one for each round.
# A ratio compares values of one round, since other load affects both. The table has the median of the ratios.

function sorted(list, count,    i, j, value) {
    for (i = 2; i <= count; i++) {
        value = list[i]
        for (j = i - 1; j > 0 && list[j] > value; j--) list[j + 1] = list[j]
        list[j + 1] = value
    }
}

function median(list, count) {
    sorted(list, count)
    return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
}

# The median of one contender's values.
function middle(measure, contender,    list, i, count) {
    count = rounds[measure, contender]
    for (i = 1; i <= count; i++) list[i] = found[measure, contender, i]
    return median(list, count)
}

# "median (least to most)" of a contender's values over, or minus, those of another; judged by the limit.
function against(measure, contender, floor, operation, limit,    list, i, count, value, sign) {
    count = rounds[measure, contender]
    if (!count) return "not measured"
    for (i = 1; i <= count; i++) {
        value = found[measure, contender, i]
        list[i] = operation == "/" ? value / found[measure, floor, i] : (value - found[measure, floor, i]) / 1000
    }
    value = median(list, count)
    sign = substr(limit, 1, 1)
    limit = substr(limit, 2) + 0
    return sprintf("%.2f (%.2f to %.2f)%s", value, list[1], list[count],
        sign == ">" ? (value >= limit ? "" : ", missed") : (value <= limit ? "" : ", missed"))
}

function line(measure, text, format, operation, worker, handoff, floor) {
    if (!rounds[measure, floor]) return
    printf "| %s | " format " | %s %.2f | %s | %s %.2f | %s |\n", text, middle(measure, floor),
        substr(worker, 1, 1) == ">" ? "at least" : "at most", substr(worker, 2),
        against(measure, "worker", floor, operation, worker),
        substr(handoff, 1, 1) == ">" ? "at least" : "at most", substr(handoff, 2),
        against(measure, "handoff", floor, operation, handoff)
}

function row(measure, text, format, operation, worker, handoff) {
    line(measure, text, format, operation, worker, handoff, "default")
    line(measure, text "; nginx with kept connections", format, operation, worker, handoff, "alone")
}

function single(text, limit, value) {
    if (value != "") printf "| %s | %s | %s |\n", text, limit, value
}

# The best result that handoff could reach behind libfcgi, beside its target.
function least(measure, text, target, limit) {
    if (rounds[measure, "least"])
        single("the smallest FastCGI program hands off, " text ", ratio; nginx with kept connections", target,
            against(measure, "least", "alone", "/", limit))
}

{
    found[$1, $2, ++rounds[$1, $2]] = $3
}

END {
    print "| measure | nginx alone | target, worker forwards | measured | target, handoff | measured |"
    print "|---|---|---|---|---|---|"
    row("plain", "requests/s, not streamed, 32 clients, ratio", "%.0f", "/", ">0.42", ">0.60")
    row("stream", "requests/s, streamed, 32 clients, ratio", "%.0f", "/", ">0.68", ">0.92")
    row("latency", "latency p50, 1 client, not streamed, ratio", "%.0f µs", "/", "<1.75", "<1.5")
    row("first", "time to first token, 1 client, ms added", "%.0f µs", "-", "<0.25", "<0.16")
    row("chunk", "chunk delay p50, 32 streams of 20 ms/token, ratio", "%.0f µs", "/", "<1.4", "<1.05")
    print ""
    print "| measure | target | measured |"
    print "|---|---|---|"
    for (i = 1; i <= 2; i++) {
        who = i == 1 ? "worker" : "handoff"
        words = i == 1 ? "worker forwards" : "handoff"
        if (rounds["memory", who])
            single("worker memory with 1,000 open streams, " words, i == 1 ? "at most 96 MiB" : "at most 16 MiB",
                sprintf("%.1f MiB", found["memory", who, 1] / 1024))
        if (rounds["held", who])
            single("streams held open at once, " words, i == 1 ? "4,000, none lost" : "8,000, none lost",
                found["held", who, 1] ", " found["lost", who, 1] " lost")
        if (rounds["cancel", who])
            single("a client leaves, the engine's connection closes, " words, "at most 100 ms",
                sprintf("%s ms, at most %s ms", found["cancel", who, 1], found["cancel-longest", who, 1]))
    }
    least("plain", "requests/s, not streamed", "handoff: at least 0.60", ">0.60")
    least("stream", "requests/s, streamed", "handoff: at least 0.92", ">0.92")
    least("latency", "latency p50", "handoff: at most 1.50", "<1.5")
    if (rounds["busy", "worker"])
        single("/busy, requests/s against a C hello on libfcgi", "at least 0.80",
            against("busy", "worker", "hello", "/", ">0.80"))
    if (rounds["hmac", "trip"])
        single("latency added by an HMAC over one round trip to central", "nothing else",
            sprintf("%.0f µs added, a trip alone takes %.0f µs",
                middle("hmac", "validated") - middle("hmac", "without"), middle("hmac", "trip")))
    if (rounds["ready", "worker"])
        single("ready after exec, no GPU", "at most 50 ms", sprintf("%.1f ms", middle("ready", "worker")))
    if (rounds["idle-memory", "worker"]) {
        single("idle memory", "at most 12 MiB", sprintf("%.1f MiB", found["idle-memory", "worker", 1] / 1024))
        single("context switches a second when idle, a look for a GPU each second", "the sampler's",
            found["idle-switches-1", "worker", 1])
        single("the same, a look every 300 s", "at most 2", found["idle-switches-300", "worker", 1])
    }
}

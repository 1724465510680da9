def report(runs, binary):
    return "\n".join(map(str, runs)) + "\n"

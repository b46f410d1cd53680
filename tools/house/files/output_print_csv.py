def print_csv(model: Model, answered: Iterator[Answer], top: int | None, show: bool) -> bool:
    """Print a line per answer; cells that a spreadsheet would run are written harmlessly."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(csv_head(model.labels))
    complete = True
    for answer in answered:
        complete = complete and answer.complete
        writer.writerow(csv_row(answer, model.labels))
    return complete

def _table(model: Model, paths: Sequence[Path], fitted: bool, turn: bool) -> str:
    """What `tenfold predict --csv` prints of these files."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(csv_head(model.labels))
    for answer in answer_files(model, paths, fitted=fitted, turn=turn):
        writer.writerow(csv_row(answer, model.labels))
    return text.getvalue()

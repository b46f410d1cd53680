def answers(
    model: Model,
    inputs: Sequence[Path],
    *,
    fitted: bool = True,
    turn: bool = True,
    draw: bool = False,
    folder: Path | None = None,
) -> Iterator[Answer]:
    """Answers in input order, as `answer_files` has them.

    With `draw` the steps of each picture file are written, into `folder` or beside it. What a
    reader should know about an input goes to standard error.
    """

    def look(path: Path, found: Found) -> bool:
        if isinstance(found, Prediction):
            if not draw or found.steps is None:
                return True
            drawn = _drawn(partial(write_steps, found, path, folder))
            if drawn is not None:
                print(f"tenfold: picture {drawn}", file=sys.stderr)
            return drawn is not None
        for note in () if isinstance(found, Estimate) else found.notes:
            print(f"tenfold: {note}", file=sys.stderr)
        return True

    return answer_files(model, inputs, fitted=fitted, turn=turn, look=look)

"""The lines of one chain as they were written, from segment to segment, while more are added."""

from pathlib import Path
from typing import BinaryIO

from firewall.audit.segments import first_seq, open_segment, segments


class Lines:
    """Reads on from the segment that holds record `after` + 1, or the first that is kept.

    `segment`, `number` and `offset` tell where the line returned last stands, its number from 1,
    and where in the segment it ends. Raises OSError where a segment cannot be read.
    """

    def __init__(self, folder: Path, after: int) -> None:
        self._folder = folder
        self._after = after
        self._file: BinaryIO | None = None
        self._half = b""
        self.segment = folder
        self.number = 0
        self.offset = 0

    def next(self) -> bytes | None:
        """The next whole line, from the next segment where this one has ended; None at the end."""
        while self._file is not None or self._advance():
            line = self._whole_line()
            if line is None and self._later():
                # The writer may have ended this segment between the two looks at it.
                line = self._whole_line()
            if line is not None:
                return line
            if not self._advance():
                return None
        return None

    def close(self) -> None:
        """Close the segment that is being read."""
        if self._file is not None:
            self._file.close()

    def _whole_line(self) -> bytes | None:
        """A line with its end; half a line may be one that is being written."""
        if self._file is None:
            return None
        line = self._half + self._file.readline()
        if not line.endswith(b"\n"):
            self._half = line
            return None
        self._half = b""
        self.number += 1
        self.offset += len(line)
        return line

    def _later(self) -> list[Path]:
        files = segments(self._folder)
        return [each for each in files if first_seq(each) > first_seq(self.segment)]

    def _advance(self) -> bool:
        """Open the segment to read next, if there is one."""
        if self._file is None:
            files = segments(self._folder)
            earlier = [each for each in files if first_seq(each) <= self._after + 1]
            files = earlier[-1:] or files
        else:
            files = self._later()
        if not files:
            return False
        opened = open_segment(files[0])
        self.close()
        self._file, self.segment = opened, files[0]
        self.number, self.offset, self._half = 0, 0, b""
        return True

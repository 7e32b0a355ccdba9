"""Results of audits: saved, loaded, shown, and gathered on one page."""

from kernel_lib.report.result import AuditResult, Verdict, load

__all__ = ["AuditResult", "Verdict", "load"]

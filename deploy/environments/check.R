# The smoke test of an Environment: loads the packages that are named as arguments, one after the
# other, and says what is there. Run by the portal before anybody may choose the Environment.
packages <- commandArgs(trailingOnly = TRUE)
cat(R.version.string, "\n", sep = "")

missing <- character()
for (name in packages) {
  trouble <- tryCatch({
    suppressPackageStartupMessages(library(name, character.only = TRUE))
    NULL
  }, error = conditionMessage)
  if (is.null(trouble)) {
    cat(sprintf("%-20s %s\n", name, packageVersion(name)))
  } else {
    missing <- c(missing, trouble)
    cat(sprintf("%-20s failed: %s\n", name, trouble))
  }
}

cat("\n")
print(sessionInfo())
if (length(missing)) {
  count <- if (length(missing) > 1) sprintf(" (and %d more)", length(missing) - 1) else ""
  stop(missing[1], count, call. = FALSE)
}

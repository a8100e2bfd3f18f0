# Pi from darts: the share that falls into the circle, times four. The picture grows while it runs.
#
# Usage   pi.R [seconds]
# Writes  /output/pi.png (anew every second)
#
# Base R only.

seconds <- suppressWarnings(as.numeric(c(commandArgs(trailingOnly = TRUE), "20")[1]))
if (is.na(seconds) || seconds <= 0) stop("Say how many seconds to throw, for example: pi.R 20")
set.seed(31415)
batch <- 200000
thrown <- inside <- 0
history <- data.frame(thrown = numeric(0), estimate = numeric(0))
recent <- NULL

draw <- function() {
  # Whole or not at all: somebody may be looking.
  png("/output/.pi.part.png", width = 1900, height = 1000, res = 200, type = "cairo", antialias = "subpixel")
  layout(matrix(1:2, 1), widths = c(1, 1.15))
  par(oma = c(0, 0, 4.4, 0), family = "sans", fg = "#1f2933", bg = "white")
  par(mar = c(2.2, 1.2, 0.6, 1))
  plot(recent$x, recent$y, pch = 16, cex = 0.28, asp = 1, axes = FALSE, xlab = "", ylab = "",
       xlim = c(-1, 1), ylim = c(-1, 1), col = ifelse(recent$hit, "#2b6cb0a0", "#d1495ba0"))
  par(mar = c(3.2, 3.6, 1.2, 1.6))
  sure <- function(n) 2.576 * sqrt(pi * (4 - pi) / n)
  ends <- range(history$thrown, batch * 2)
  n <- exp(seq(log(ends[1]), log(ends[2]), length.out = 200))
  plot(NULL, log = "x", xlim = ends, ylim = pi + c(-1, 1) * sure(ends[1]) * 1.25, axes = FALSE, xlab = "", ylab = "")
  polygon(c(n, rev(n)), pi + c(sure(n), -rev(sure(n))), col = "#eef2f6", border = NA)
  abline(h = pi, col = "#6b7785", lty = 3)
  lines(history$thrown, history$estimate, col = "#2b6cb0", lwd = 2.2)
  points(tail(history$thrown, 1), tail(history$estimate, 1), pch = 21, bg = "#2b6cb0", col = "white", cex = 1.3)
  marks <- axTicks(1)
  axis(1, marks, ifelse(marks < 1e6, paste0(marks / 1e3, "k"), paste0(marks / 1e6, "M")), tick = FALSE,
       line = -0.7, cex.axis = 0.8, col.axis = "#6b7785")
  axis(2, tick = FALSE, las = 1, line = -0.6, cex.axis = 0.8, col.axis = "#6b7785")
  mtext("darts thrown; shaded: where 99 of 100 such runs would be", side = 1, line = 1.6, cex = 0.72, col = "#6b7785")
  mtext(sprintf("\u03c0 \u2248 %.5f", tail(history$estimate, 1)), outer = TRUE, side = 3, line = 2, at = 0.03, adj = 0,
        font = 2, cex = 1.5)
  mtext(sprintf("after %s darts", formatC(thrown, format = "f", digits = 0, big.mark = ",")), outer = TRUE, side = 3, line = 0.6, at = 0.03,
        adj = 0, cex = 0.9, col = "#6b7785")
  invisible(dev.off())
  file.rename("/output/.pi.part.png", "/output/pi.png")
}

start <- proc.time()[["elapsed"]]
drawn <- -Inf
repeat {
  x <- runif(batch, -1, 1)
  y <- runif(batch, -1, 1)
  hit <- x * x + y * y <= 1
  thrown <- thrown + batch
  inside <- inside + sum(hit)
  history[nrow(history) + 1, ] <- c(thrown, 4 * inside / thrown)
  recent <- data.frame(x, y, hit)[1:4000, ]
  now <- proc.time()[["elapsed"]] - start
  last <- now >= seconds
  if (now - drawn >= 1 || last) {
    draw()
    drawn <- now
    estimate <- 4 * inside / thrown
    cat(sprintf("%5.1f s  %12s darts  \u03c0 \u2248 \u001b[1m%.6f\u001b[0m  off by %+.6f\n", now,
                formatC(thrown, format = "f", digits = 0, big.mark = ","), estimate, estimate - pi))
    flush(stdout())
  }
  if (last) break
  Sys.sleep(0.05)
}
cat("Look at /output/pi.png\n")

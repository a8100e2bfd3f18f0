# What makes people hire a bike: the hour, the day, or the weather?
#
# Reads   /input/bike_hires.csv  (what the columns mean: /input/about-the-data.txt)
# Writes  /output/bike_hires.png      the picture
#         /output/predictions.csv     every hour with what the model expected
#         /output/summary.txt         the findings in words and numbers
#
# Base R only, 4.2 or newer.

started <- Sys.time()
bold <- function(text) paste0("\033[1m", text, "\033[0m")
blue <- function(text) paste0("\033[34m", text, "\033[0m")
green <- function(text) paste0("\033[32m", text, "\033[0m")
number <- function(x, digits = 0) formatC(x, format = "f", digits = digits, big.mark = ",")

# ---- read -----------------------------------------------------------------------------------

cat(bold("Reading the data"), "\n")
hires <- read.csv("/input/bike_hires.csv")
hires$time <- as.POSIXct(hires$time, tz = "UTC")
hires$hour <- as.integer(format(hires$time, "%H"))
hires$month <- as.integer(format(hires$time, "%m"))
hires$day <- as.integer(format(hires$time, "%j"))
hires$rainy <- hires$rain_mm > 0
cat(sprintf(
  "  %s hours, %s hires, from %s to %s\n\n", number(nrow(hires)), number(sum(hires$hires)),
  format(min(hires$time), "%d %b %Y"), format(max(hires$time), "%d %b %Y")
))

# ---- model ----------------------------------------------------------------------------------
# Counts that vary more than Poisson's: quasi-Poisson. A day's shape is one smooth wave for
# working days and another for the rest; temperature may help up to a point.

model <- hires ~ factor(working_day) * (
  sin(2 * pi * hour / 24) + cos(2 * pi * hour / 24) + sin(4 * pi * hour / 24) + cos(4 * pi * hour / 24) +
    sin(6 * pi * hour / 24) + cos(6 * pi * hour / 24) + sin(8 * pi * hour / 24) + cos(8 * pi * hour / 24) +
    sin(10 * pi * hour / 24) + cos(10 * pi * hour / 24)) +
  poly(temperature_c, 3) + poly(pmin(rain_mm, 6), 2) + rainy + wind_kmh + day
fit <- function(rows) glm(model, family = quasipoisson(), data = rows)
expect <- function(fitted, rows) predict(fitted, newdata = rows, type = "response")

cat(bold("Testing the model on months that it has not seen"), "\n")
months <- 1:12
rounds <- 4
hires$unseen <- 0
done <- 0
for (month in months) {
  here <- hires$month == month
  for (round in seq_len(rounds)) {
    # Each round learns from another sample of the other months; the mean of them predicts.
    set.seed(100 * month + round)
    others <- hires[!here, ]
    sample_of <- others[sample.int(nrow(others), replace = TRUE), ]
    hires$unseen[here] <- hires$unseen[here] + expect(fit(sample_of), hires[here, ]) / rounds
    done <- done + 1
    part <- done / (length(months) * rounds)
    filled <- round(30 * part)
    cat(sprintf(
      "\r  %s%s %3.0f %%  %s", blue(strrep("\u2588", filled)), strrep("\u2591", 30 - filled), 100 * part,
      format(month.name[month], width = 9)
    ))
    flush(stdout())
  }
}
explained <- function(seen, expected) 1 - sum((seen - expected)^2) / sum((seen - mean(seen))^2)
honest <- explained(hires$hires, hires$unseen)
cat(sprintf("\n  explains %s of the variation in unseen months\n\n", green(sprintf("%.0f %%", 100 * honest))))

cat(bold("Fitting the whole year"), "\n")
year <- fit(hires)
hires$expected <- expect(year, hires)
effect <- function(column, from, to) {
  low <- high <- hires
  low[[column]] <- from
  high[[column]] <- to
  if (column == "rain_mm") {
    low$rainy <- from > 0
    high$rainy <- to > 0
  }
  100 * (sum(expect(year, high)) / sum(expect(year, low)) - 1)
}
findings <- c(
  "20 \u00b0C instead of 10 \u00b0C" = effect("temperature_c", 10, 20),
  "an hour with 2 mm of rain instead of a dry one" = effect("rain_mm", 0, 2),
  "wind of 20 km/h instead of 10 km/h" = effect("wind_kmh", 10, 20)
)
for (name in names(findings)) cat(sprintf("  %+5.0f %%  %s\n", findings[[name]], name))
cat("\n")

# ---- picture --------------------------------------------------------------------------------

ink <- "#1f2933"
quiet <- "#6b7785"
line <- "#dfe3e8"
warm <- "#d1495b"
cool <- "#2b6cb0"

panel <- function(title, note) {
  # The left edge of the panel, margin included.
  at <- par("usr")[1] - diff(par("usr")[1:2]) * par("mai")[2] / par("pin")[1]
  mtext(title, side = 3, line = 1.75, at = at, adj = 0, font = 2, cex = 0.86, col = ink)
  mtext(note, side = 3, line = 0.55, at = at, adj = 0, cex = 0.7, col = quiet)
}
tick <- function(side, at, labels = at) {
  axis(side, at = at, labels = labels, tick = FALSE, las = 1, cex.axis = 0.8, col.axis = quiet,
       line = if (side == 1) -0.75 else -0.6)
}

draw <- function() {
  layout(matrix(c(1, 1, 2, 3), 2, byrow = TRUE), heights = c(1.02, 1))
  par(oma = c(1.9, 1.4, 5.0, 0.4), family = "sans", fg = ink, col.lab = quiet, bg = "white", xpd = FALSE)

  # Every hour of the year, one column a day.
  par(mar = c(2.4, 3.6, 3.6, 6.6))
  days <- max(hires$day)
  grid <- matrix(NA_real_, days, 24)
  grid[cbind(hires$day, hires$hour + 1)] <- sqrt(hires$hires)
  shades <- hcl.colors(64, "YlGnBu", rev = TRUE)
  image(seq_len(days), 0:23, grid, col = shades, axes = FALSE, xlab = "", ylab = "", useRaster = TRUE)
  firsts <- as.integer(format(as.Date(sprintf("2024-%02d-01", 1:12)), "%j"))
  abline(v = firsts[-1] - 0.5, col = "#ffffff90", lwd = 0.8)
  tick(1, firsts + 15, month.abb)
  tick(2, c(0, 6, 12, 18), c("0:00", "6:00", "12:00", "18:00"))
  panel("Every hour of the year", "Hires an hour; two stripes on working days, one broad hump on days off")
  # The scale, as a strip at the right.
  usr <- par("usr")
  left <- usr[2] + diff(usr[1:2]) * 0.022
  ends <- seq(usr[3], usr[4], length.out = length(shades) + 1)
  par(xpd = NA)
  rect(left, head(ends, -1), left + diff(usr[1:2]) * 0.012, tail(ends, -1), col = shades, border = NA)
  marks <- c(0, 50, 200, 400, 700)
  marks <- marks[sqrt(marks) <= max(grid, na.rm = TRUE)]
  text(left + diff(usr[1:2]) * 0.018, usr[3] + diff(usr[3:4]) * sqrt(marks) / max(grid, na.rm = TRUE),
       marks, adj = 0, cex = 0.8, col = quiet)
  par(xpd = FALSE)

  # A day's shape: what was counted (dots) and what the model expects (lines).
  par(mar = c(2.6, 3.6, 4.0, 1.6))
  shape <- aggregate(cbind(hires, expected) ~ hour + working_day, hires, mean)
  plot(NULL, xlim = c(0, 23), ylim = c(0, max(shape$hires) * 1.1), axes = FALSE, xlab = "", ylab = "", yaxs = "i")
  abline(h = pretty(shape$hires), col = line, lwd = 0.8)
  for (working in 0:1) {
    these <- shape[shape$working_day == working, ]
    colour <- if (working == 1) cool else warm
    smooth <- spline(these$hour, these$expected, n = 300)
    lines(smooth, col = colour, lwd = 2.4, lend = 1)
    points(these$hour, these$hires, pch = 21, bg = colour, col = "white", cex = 1.15, lwd = 1)
  }
  highest <- function(working, within) {
    these <- shape[shape$working_day == working & shape$hour %in% within, ]
    these[which.max(these$hires), ]
  }
  top <- highest(1, 0:23)
  text(top$hour - 1.1, top$hires, "working days", adj = c(1, 0.2), cex = 0.82, col = cool, font = 2)
  off <- highest(0, 0:23)
  text(11.6, off$hires * 1.13, "days off", adj = c(0.5, 0), cex = 0.82, col = warm, font = 2)
  tick(1, seq(0, 21, 3), sprintf("%d:00", seq(0, 21, 3)))
  tick(2, pretty(shape$hires))
  panel("The shape of a day", "Mean hires an hour: counted (dots) and expected by the model (lines)")

  # Temperature, dry and rainy: the model's curves over what was counted.
  par(mar = c(2.6, 3.0, 4.0, 2.2))
  range_of <- c(-6, 30)
  at <- seq(range_of[1], range_of[2], by = 0.5)
  noon <- hires[hires$hour %in% 10:18, ]
  typical <- noon[seq(1, nrow(noon), by = 7), ]
  curve_for <- function(rain) {
    typical$rain_mm <- rain
    typical$rainy <- rain > 0
    vapply(at, function(degrees) {
      typical$temperature_c <- degrees
      mean(expect(year, typical))
    }, 0)
  }
  dry <- curve_for(0)
  wet <- curve_for(mean(noon$rain_mm[noon$rainy]))
  # Dots: the curve at their temperature, times what was counted over what was expected there,
  # so that warm hours' being afternoon hours doesn't count as warmth.
  bins <- cut(noon$temperature_c, seq(range_of[1], range_of[2], by = 2))
  seen <- aggregate(cbind(hires, expected, temperature_c, n = 1) ~ bins + rainy, noon, sum)
  seen <- seen[seen$n >= 12, ]
  seen$temperature_c <- seen$temperature_c / seen$n
  seen$height <- ifelse(seen$rainy, approx(at, wet, seen$temperature_c)$y, approx(at, dry, seen$temperature_c)$y) *
    seen$hires / seen$expected
  plot(NULL, xlim = range_of, ylim = c(0, max(dry, seen$height) * 1.08), axes = FALSE, xlab = "", ylab = "", yaxs = "i")
  abline(h = pretty(c(0, dry)), col = line, lwd = 0.8)
  polygon(c(at, rev(at)), c(dry, rev(wet)), col = "#2b6cb014", border = NA)
  lines(at, dry, col = warm, lwd = 2.4)
  lines(at, wet, col = cool, lwd = 2.4)
  points(seen$temperature_c, seen$height, pch = 21, bg = ifelse(seen$rainy, cool, warm), col = "white",
         cex = 0.7 + 0.9 * sqrt(seen$n / max(seen$n)), lwd = 1)
  mark <- which(at == 20)
  text(19.2, dry[mark] * 1.03, "dry", adj = c(1, 0), cex = 0.82, col = warm, font = 2)
  text(26.6, wet[which(at == 26.5)] * 0.86, "rain", adj = c(0, 1), cex = 0.82, col = cool, font = 2)
  tick(1, seq(-5, 30, 5), paste0(seq(-5, 30, 5), "\u00b0"))
  tick(2, pretty(c(0, dry)))
  panel("The weather", "Hires an hour from 10:00 to 18:00 by temperature in \u00b0C, hour and day alike")

  mtext("Warm and dry, at eight and at five", side = 3, outer = TRUE, line = 2.55, at = 0, adj = 0,
        font = 2, cex = 1.32, col = ink)
  mtext(sprintf("%s bike hires in 2024. The model explains %.0f %% of the variation in months that it has not seen.",
                number(sum(hires$hires)), 100 * honest),
        side = 3, outer = TRUE, line = 1.05, at = 0, adj = 0, cex = 0.86, col = quiet)
  mtext("Invented data of a town that does not exist. Quasi-Poisson regression, base R.", side = 1,
        outer = TRUE, line = 0.55, at = 0, adj = 0, cex = 0.66, col = quiet)
}

cat(bold("Writing the results"), "\n")
png("/output/bike_hires.png", width = 2200, height = 1640, res = 200, type = "cairo", antialias = "subpixel")
draw()
invisible(dev.off())

predictions <- data.frame(
  time = format(hires$time, "%Y-%m-%d %H:%M"), hires = hires$hires, expected = round(hires$expected, 1),
  expected_unseen = round(hires$unseen, 1)
)
write.csv(predictions, "/output/predictions.csv", row.names = FALSE, quote = FALSE)

report <- file("/output/summary.txt", "w", encoding = "UTF-8")
writeLines(c(
  "Bike hires in 2024", "==================", "",
  sprintf("Hours                     %s", number(nrow(hires))),
  sprintf("Hires                     %s", number(sum(hires$hires))),
  sprintf("Busiest hour              %s with %d hires", format(hires$time[which.max(hires$hires)], "%a %d %b, %H:%M"),
          max(hires$hires)),
  sprintf("Explained, unseen months  %.1f %%", 100 * honest),
  sprintf("Explained, all the year   %.1f %%", 100 * explained(hires$hires, hires$expected)), "",
  "What changes the number of hires, all else being equal:",
  sprintf("  %+5.0f %%  %s", findings, names(findings)), "",
  "The model in full:", "", capture.output(print(summary(year), digits = 3))
), report)
close(report)

for (name in c("bike_hires.png", "predictions.csv", "summary.txt")) {
  cat(sprintf("  %-18s %8s kB\n", name, number(file.size(file.path("/output", name)) / 1024)))
}
cat(sprintf("\n%s in %.1f s\n", green("Done"), as.numeric(difftime(Sys.time(), started, units = "secs"))))

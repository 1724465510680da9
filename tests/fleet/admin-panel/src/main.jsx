import { createRoot } from "react-dom/client";
import { BrowserRouter, Link, Route, Routes, useParams } from "react-router";
import "./style.css";

const SERVICES = ["auth-service", "gmail-service", "calendar-service", "reminder-service", "telegram-bot", "mcp-service", "ai-proxy-service"];

function Overview() {
  return (
    <>
      <h1>Services</h1>
      <ul>
        {SERVICES.map((name) => (
          <li key={name}>
            <Link to={`/services/${name}`}>{name}</Link>
          </li>
        ))}
      </ul>
    </>
  );
}

function Service() {
  const { name } = useParams();
  return (
    <>
      <h1>{name}</h1>
      <p>{SERVICES.includes(name) ? `API: ${import.meta.env.VITE_API_URL}/${name}` : "There is no such service."}</p>
      <Link to="/">All services</Link>
    </>
  );
}

createRoot(document.getElementById("root")).render(
  <BrowserRouter>
    <Routes>
      <Route path="/" element={<Overview />} />
      <Route path="/services/:name" element={<Service />} />
    </Routes>
  </BrowserRouter>,
);
